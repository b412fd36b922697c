"""SMB2's templates, byte for byte as smbprotocol encodes them; and answers, whatever bytes come."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from smbprotocol.file_info import (
    FileBasicInformation,
    FileDispositionInformation,
    FileFsFullSizeInformation,
    FileRenameInformation,
)
from smbprotocol.ioctl import CtlCode, IOCTLFlags, SMB2IOCTLRequest, SMB2IOCTLResponse
from smbprotocol.open import (
    CreateDisposition,
    CreateOptions,
    FileAttributes,
    FilePipePrinterAccessMask,
    ImpersonationLevel,
    ShareAccess,
    SMB2CloseRequest,
    SMB2CloseResponse,
    SMB2CreateRequest,
    SMB2CreateResponse,
    SMB2FlushRequest,
    SMB2QueryInfoRequest,
    SMB2QueryInfoResponse,
    SMB2ReadRequest,
    SMB2ReadResponse,
    SMB2SetInfoRequest,
    SMB2WriteRequest,
    SMB2WriteResponse,
)
from smbprotocol.session import SMB2Logoff
from smbprotocol.tree import SMB2TreeConnectRequest

from pusher.transports.smb import messages
from pusher.transports.smb.errors import ImplausibleError, NtStatusError, WireError
from pusher.transports.smb.messages import Access, Answer, Disposition, Options, Request, Share

FILE = bytes(range(16))
paths = st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=60)
sizes = st.integers(0, 2**32 - 1)
offsets = st.integers(0, 2**63 - 1)


def same(ours: Request, theirs: Any) -> None:
    assert (int(ours.command), ours.body) == (theirs.COMMAND, theirs.pack())


def with_fields(message: Any, **fields: Any) -> Any:
    for name, value in fields.items():
        message[name] = value
    return message


# -- requests ----------------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(paths, st.integers(0, 2**32 - 1), st.sampled_from(Disposition), st.sampled_from(Options), st.integers(0, 7))
def test_create(path: str, access: int, disposition: Disposition, options: Options, share: int) -> None:
    same(
        messages.create(path, access, disposition=disposition, options=options, share=share),
        with_fields(
            SMB2CreateRequest(),
            impersonation_level=ImpersonationLevel.Impersonation,
            desired_access=access,
            file_attributes=FileAttributes.FILE_ATTRIBUTE_NORMAL,
            share_access=share,
            create_disposition=int(disposition),
            create_options=int(options),
            buffer_path=path.encode("utf-16-le"),
        ),
    )


def test_create_of_the_share_itself() -> None:
    """Windows wants at least one byte after a CREATE, though the name has none."""
    body = messages.create("", Access.READ_ATTRIBUTES).body
    assert len(body) > 56 and struct.unpack_from("<HH", body, 44) == (120, 0)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (Access.LIST_DIRECTORY, FilePipePrinterAccessMask.FILE_READ_DATA),
        (Access.READ_ATTRIBUTES, FilePipePrinterAccessMask.FILE_READ_ATTRIBUTES),
        (Access.WRITE_ATTRIBUTES, FilePipePrinterAccessMask.FILE_WRITE_ATTRIBUTES),
        (Access.DELETE, FilePipePrinterAccessMask.DELETE),
        (Access.GENERIC_READ, FilePipePrinterAccessMask.GENERIC_READ),
        (Access.GENERIC_WRITE, FilePipePrinterAccessMask.GENERIC_WRITE),
        (Share.READ, ShareAccess.FILE_SHARE_READ),
        (Share.WRITE, ShareAccess.FILE_SHARE_WRITE),
        (Share.DELETE, ShareAccess.FILE_SHARE_DELETE),
        (Disposition.OPEN, CreateDisposition.FILE_OPEN),
        (Disposition.CREATE, CreateDisposition.FILE_CREATE),
        (Disposition.OVERWRITE_IF, CreateDisposition.FILE_OVERWRITE_IF),
        (Options.DIRECTORY_FILE, CreateOptions.FILE_DIRECTORY_FILE),
        (Options.NON_DIRECTORY_FILE, CreateOptions.FILE_NON_DIRECTORY_FILE),
        (Options.DELETE_ON_CLOSE, CreateOptions.FILE_DELETE_ON_CLOSE),
        (messages.Attributes.READONLY, FileAttributes.FILE_ATTRIBUTE_READONLY),
        (messages.Attributes.DIRECTORY, FileAttributes.FILE_ATTRIBUTE_DIRECTORY),
        (messages.Attributes.NORMAL, FileAttributes.FILE_ATTRIBUTE_NORMAL),
    ],
)
def test_flags_mean_what_they_mean_elsewhere(ours: int, theirs: int) -> None:
    assert int(ours) == theirs


@pytest.mark.parametrize("tells_size", [False, True])
def test_close(tells_size: bool) -> None:
    same(
        messages.close(FILE, tells_size=tells_size),
        with_fields(SMB2CloseRequest(), flags=int(tells_size), file_id=FILE),
    )


def test_flush() -> None:
    same(messages.flush(FILE), with_fields(SMB2FlushRequest(), file_id=FILE))


@given(sizes, offsets)
def test_read(length: int, offset: int) -> None:
    theirs = with_fields(SMB2ReadRequest(), length=length, offset=offset, file_id=FILE, padding=80)
    same(messages.read(length, offset, FILE), theirs)


@given(st.binary(min_size=1, max_size=300), offsets)
def test_write(data: bytes, offset: int) -> None:
    theirs = with_fields(SMB2WriteRequest(), offset=offset, file_id=FILE, buffer=data)
    same(messages.write(data, offset, FILE), theirs)
    same(messages.write(memoryview(data), offset, FILE), theirs)


@given(st.binary(min_size=1, max_size=300), sizes)
def test_transceive(data: bytes, room: int) -> None:
    theirs = with_fields(
        SMB2IOCTLRequest(),
        ctl_code=CtlCode.FSCTL_PIPE_TRANSCEIVE,
        file_id=FILE,
        max_output_response=room,
        flags=IOCTLFlags.SMB2_0_IOCTL_IS_FSCTL,
        buffer=data,
    )
    same(messages.transceive(data, room, FILE), theirs)


def test_query_free_space() -> None:
    theirs = with_fields(
        SMB2QueryInfoRequest(),
        info_type=FileFsFullSizeInformation.INFO_TYPE,
        file_info_class=FileFsFullSizeInformation.INFO_CLASS,
        file_id=FILE,
        output_buffer_length=32,
    )
    same(messages.query_free_space(FILE), theirs)


def set_info(info: Any) -> Any:
    return with_fields(
        SMB2SetInfoRequest(), info_type=info.INFO_TYPE, file_info_class=info.INFO_CLASS, file_id=FILE, buffer=info
    )


def test_dispose() -> None:
    same(messages.dispose(FILE), set_info(with_fields(FileDispositionInformation(), delete_pending=True)))


@given(paths)
def test_rename(to: str) -> None:
    info = with_fields(FileRenameInformation(), replace_if_exists=False, file_name=to)
    same(messages.rename(to, FILE), set_info(info))


@given(sizes)
def test_set_attributes(attributes: int) -> None:
    """smbprotocol sends the beginning of 1601 as a time where none is given; zero is what leaves it as it is."""
    info = with_fields(FileBasicInformation(), file_attributes=attributes)
    theirs = set_info(info).pack()
    ours = messages.set_attributes(attributes, FILE).body
    assert (ours[:32], ours[64:]) == (theirs[:32], theirs[64:])
    assert ours[32:64] == bytes(32)


def test_logoff() -> None:
    same(messages.logoff(), SMB2Logoff())


@given(paths)
def test_tree_connect(share: str) -> None:
    same(messages.tree_connect(share), with_fields(SMB2TreeConnectRequest(), buffer=share.encode("utf-16-le")))


@pytest.mark.parametrize(
    "made",
    [
        messages.close, messages.flush, messages.query_free_space, messages.dispose,
        lambda file: messages.read(5, 1, file), lambda file: messages.write(b"data", 1, file),
        lambda file: messages.transceive(b"data", 9, file), lambda file: messages.rename("there", file),
        lambda file: messages.set_attributes(1, file),
    ],
)  # fmt: skip
def test_a_request_of_another_file(made: Callable[[bytes], Request]) -> None:
    assert made(messages.RELATED_FILE).of_file(FILE) == made(FILE)


def test_a_request_without_a_file_stays_as_it_is() -> None:
    assert messages.create("x", 1).of_file(FILE) == messages.create("x", 1)


# -- answers -----------------------------------------------------------------------------------------------------


def answer(message: Any, status: int = 0) -> Answer:
    return Answer(status, memoryview(message.pack()), 7)


@given(offsets, sizes)
def test_created(size: int, attributes: int) -> None:
    made = messages.created(
        answer(with_fields(SMB2CreateResponse(), end_of_file=size, file_attributes=attributes, file_id=FILE))
    )
    assert (made.file, made.size, made.attributes) == (FILE, size, attributes)
    assert made.is_folder == bool(attributes & FileAttributes.FILE_ATTRIBUTE_DIRECTORY)


@given(offsets)
def test_size_when_closed(size: int) -> None:
    assert messages.size_when_closed(answer(with_fields(SMB2CloseResponse(), flags=1, end_of_file=size))) == size


def test_a_close_that_does_not_tell_the_size() -> None:
    with pytest.raises(ImplausibleError):
        messages.size_when_closed(answer(with_fields(SMB2CloseResponse(), flags=0, end_of_file=7)))


@given(st.binary(max_size=200))
def test_data_read(data: bytes) -> None:
    theirs = with_fields(SMB2ReadResponse(), data_length=len(data), buffer=data, data_offset=80)
    assert bytes(messages.data_read(answer(theirs))) == data


@given(sizes)
def test_count_written(count: int) -> None:
    assert messages.count_written(answer(with_fields(SMB2WriteResponse(), count=count))) == count


@pytest.mark.parametrize("status", [0, messages.BUFFER_OVERFLOW])
@given(data=st.binary(max_size=200))
def test_transceived(status: int, data: bytes) -> None:
    theirs = with_fields(SMB2IOCTLResponse(), file_id=FILE, output_offset=112, output_count=len(data), buffer=data)
    assert messages.transceived(answer(theirs, status)) == data


@given(st.integers(0, 2**40), st.integers(1, 64), st.sampled_from([512, 4096]))
def test_free_space(units: int, sectors: int, size: int) -> None:
    data = struct.pack("<QQQII", 1, units, 2, sectors, size)
    theirs = with_fields(SMB2QueryInfoResponse(), output_buffer_offset=72, buffer=data)
    assert messages.free_space(answer(theirs)) == units * sectors * size


PARSERS: list[Callable[[Answer], object]] = [
    messages.created, messages.size_when_closed, messages.data_read, messages.count_written, messages.transceived,
    messages.free_space,
]  # fmt: skip


@pytest.mark.parametrize("parser", PARSERS)
@given(status=st.sampled_from([0xC0000022, 0xC0000034, 0x103, 0x8000002D]), body=st.binary(max_size=120))
def test_a_refusal_is_told_by_its_status(parser: Callable[[Answer], object], status: int, body: bytes) -> None:
    with pytest.raises(NtStatusError) as caught:
        parser(Answer(status, memoryview(body), 7))
    assert caught.value.status == status


@pytest.mark.parametrize("parser", PARSERS)
@given(
    structure=st.sampled_from([9, 17, 49, 60, 89]),
    body=st.binary(max_size=200),
    status=st.sampled_from([0, 0x80000005]),
)
def test_whatever_comes_is_read_or_refused(
    parser: Callable[[Answer], object], structure: int, body: bytes, status: int
) -> None:
    whole = memoryview(struct.pack("<H", structure) + body)
    try:
        parser(Answer(status, whole, 7))
    except WireError:
        return
    assert len(whole) >= 8


@pytest.mark.parametrize("offset", [0, 63, 81, 255])
@pytest.mark.parametrize("length", [5, 2**32 - 1])
def test_data_past_the_end_of_the_message(offset: int, length: int) -> None:
    """Within the header, behind the end, and where the sum would wrap."""
    body = struct.pack("<HBBIII", 17, offset, 0, length, 0, 0) + b"1234"
    with pytest.raises(ImplausibleError):
        messages.data_read(Answer(0, memoryview(body), 7))

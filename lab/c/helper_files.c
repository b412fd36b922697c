/* The file verbs of helper.exe, on kernel32 and version.dll. */
#include "helper.h"
#include <stdlib.h>
#include <wchar.h>

enum { HELD = 16 };

static struct {
    WCHAR path[MAX_PATH];
    HANDLE handle;
} held[HELD];

static void say_version(const WCHAR *path)
{
    DWORD ignored, size = GetFileVersionInfoSizeW(path, &ignored);
    void *block = size ? malloc(size) : NULL;
    VS_FIXEDFILEINFO *fixed;
    UINT length;
    if (block && GetFileVersionInfoW(path, 0, size, block) && VerQueryValueW(block, L"\\", (void **)&fixed, &length) &&
        length >= sizeof *fixed)
        say("\"%u.%u.%u.%u\"", HIWORD(fixed->dwFileVersionMS), LOWORD(fixed->dwFileVersionMS),
            HIWORD(fixed->dwFileVersionLS), LOWORD(fixed->dwFileVersionLS));
    else
        say("null");
    free(block);
}

void file_get(void)
{
    WIN32_FILE_ATTRIBUTE_DATA data;
    if (!GetFileAttributesExW(field(0), GetFileExInfoStandard, &data)) {
        say_error(GetLastError());
        return;
    }
    say("{\"err\": 0, \"attributes\": %lu, \"size\": %llu, \"version\": ", data.dwFileAttributes,
        (unsigned long long)data.nFileSizeHigh << 32 | data.nFileSizeLow);
    if (data.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY)
        say("null");
    else
        say_version(field(0));
    say("}");
}

/* Wine's cmd.exe shares a file it writes for deletion, Windows' own does not: a file that somebody writes is in use.
 * One that is only read, as a running program's, is not: it can be renamed. */
static DWORD in_use(const WCHAR *path)
{
    HANDLE file = CreateFileW(path, GENERIC_READ | DELETE, FILE_SHARE_READ | FILE_SHARE_DELETE, NULL, OPEN_EXISTING,
                              FILE_FLAG_BACKUP_SEMANTICS, NULL);
    if (file == INVALID_HANDLE_VALUE)
        return GetLastError();
    CloseHandle(file);
    return 0;
}

void file_rename(void)
{
    DWORD trouble = in_use(field(0));
    say_error(trouble ? trouble : MoveFileExW(field(0), field(1), 0) ? 0 : GetLastError());
}

void file_delete(void)
{
    DWORD trouble = in_use(field(0));
    say_error(trouble ? trouble : DeleteFileW(field(0)) ? 0 : GetLastError());
}

void folder_delete(void)
{
    say_error(RemoveDirectoryW(field(0)) ? 0 : GetLastError());
}

/* Open a file without sharing until it is released, as a program has that works on it. */
void file_hold(void)
{
    for (int i = 0; i < HELD; i++)
        if (!held[i].handle) {
            HANDLE handle = CreateFileW(field(0), GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_ALWAYS, 0, NULL);
            if (handle == INVALID_HANDLE_VALUE) {
                say_error(GetLastError());
                return;
            }
            wcsncpy(held[i].path, field(0), MAX_PATH - 1);
            held[i].handle = handle;
            say_error(0);
            return;
        }
    say_error(ERROR_TOO_MANY_OPEN_FILES);
}

void file_release(void)
{
    for (int i = 0; i < HELD; i++)
        if (held[i].handle && !_wcsicmp(held[i].path, field(0))) {
            CloseHandle(held[i].handle);
            held[i].handle = NULL;
            say_error(0);
            return;
        }
    say_error(ERROR_FILE_NOT_FOUND);
}

/* A stand-in for Windows' certutil.exe with its one verb that pusher uses:
 *
 *   certutil -hashfile FILE SHA256
 *
 * The layout and the codes are those of Windows 10: an HRESULT as the exit code, an empty file is refused. Wine's own
 * certutil prints nothing and returns 0, whatever it is asked.
 */
#include <windows.h>
#include <bcrypt.h>
#include <stdio.h>
#include <wchar.h>

enum { PIECE = 65536, DIGEST = 32 };

static int failed(DWORD error)
{
    HRESULT code = HRESULT_FROM_WIN32(error);
    printf("CertUtil: -hashfile command FAILED: 0x%lx (WIN32: %lu)\nCertUtil: error %lu\n", code, error, error);
    return (int)code;
}

static DWORD hash(HANDLE file, BYTE *digest)
{
    static BYTE piece[PIECE];
    BCRYPT_ALG_HANDLE algorithm;
    BCRYPT_HASH_HANDLE state;
    DWORD size, error = 0;
    if (BCryptOpenAlgorithmProvider(&algorithm, BCRYPT_SHA256_ALGORITHM, NULL, 0) ||
        BCryptCreateHash(algorithm, &state, NULL, 0, NULL, 0, 0))
        return ERROR_INTERNAL_ERROR;
    do {
        if (!ReadFile(file, piece, PIECE, &size, NULL))
            error = GetLastError();
        else if (size)
            BCryptHashData(state, piece, size, 0);
    } while (!error && size);
    BCryptFinishHash(state, digest, DIGEST, 0);
    BCryptDestroyHash(state);
    BCryptCloseAlgorithmProvider(algorithm, 0);
    return error;
}

int main(void)
{
    int count;
    LARGE_INTEGER size;
    BYTE digest[DIGEST];
    char name[4096];
    WCHAR **arguments = CommandLineToArgvW(GetCommandLineW(), &count);
    if (count != 4 || _wcsicmp(arguments[1], L"-hashfile") || _wcsicmp(arguments[3], L"SHA256")) {
        printf("CertUtil: the lab's stand-in knows nothing but -hashfile FILE SHA256\n");
        return (int)HRESULT_FROM_WIN32(ERROR_INVALID_PARAMETER);
    }
    HANDLE file = CreateFileW(arguments[2], GENERIC_READ, FILE_SHARE_READ, NULL, OPEN_EXISTING, 0, NULL);
    if (file == INVALID_HANDLE_VALUE)
        return failed(GetLastError());
    if (!GetFileSizeEx(file, &size))
        return failed(GetLastError());
    if (!size.QuadPart)
        return failed(ERROR_FILE_INVALID);
    DWORD error = hash(file, digest);
    if (error)
        return failed(error);
    WideCharToMultiByte(CP_UTF8, 0, arguments[2], -1, name, sizeof name, NULL, NULL);
    printf("SHA256 hash of %s:\n", name);
    for (int i = 0; i < DIGEST; i++)
        printf("%02x", digest[i]);
    printf("\nCertUtil: -hashfile command completed successfully.\n");
    return 0;
}

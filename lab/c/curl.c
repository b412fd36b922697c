/* A stand-in for Windows' curl.exe, as far as pusher uses it: one HTTPS download, its server known by its public key,
 * or the end of a local file (--range -BYTES file:///C:/...).
 *
 * Wine has no TLS in a host of the lab, so what is wanted is told to the WinRM endpoint's process (lab/winrm/
 * download.py), which does it for real: lines of "name value", an empty one at the end. Back come pieces of the
 * body, each after its length (4 bytes, little endian), then a length of 0 and curl's exit code. The body is
 * written here, so a full disk or a file in use is Windows' own affair. An option that is not below is refused.
 */
#include <winsock2.h>
#include <windows.h>
#include <stdio.h>
#include <string.h>

enum { PORT = 5984, PIECE = 65536, OPTIONS = 32 };
enum { USAGE = 2, NOT_CONNECTED = 7, NOT_WRITTEN = 23, NOT_READ = 37, NOT_RECEIVED = 56 };

int _CRT_glob = 0; /* "*" is an argument, not the files of this folder */

static const char *const plain[] = {"-q", "--disable", "-s", "--silent", "-f", "--fail", "-k", "--insecure",
                                    "-S", "--show-error"};
static const char *const valued[] = {"--pinnedpubkey", "--proto",          "--noproxy",     "--connect-timeout",
                                     "--speed-limit",  "--speed-time",     "--max-time",    "--max-filesize",
                                     "--output",       "-o",               "-m",           "--range"};
static const char local[] = "file:///";

static struct {
    const char *name, *value;
} options[OPTIONS];
static int given;
static SOCKET helper;
static const char *target, *url, *range;
static char piece[PIECE];

static BOOL among(const char *word, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(word, words[i]))
            return TRUE;
    return FALSE;
}

static BOOL receive(void *data, int size)
{
    for (char *at = data; size > 0;) {
        int got = recv(helper, at, size, 0);
        if (got <= 0)
            return FALSE;
        at += got;
        size -= got;
    }
    return TRUE;
}

static BOOL tell(const char *name, const char *value)
{
    char line[4096];
    int size = snprintf(line, sizeof line, "%s %s\n", name, value);
    return size < (int)sizeof line && send(helper, line, size, 0) == size;
}

static BOOL connect_to_helper(void)
{
    WSADATA winsock;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    WSAStartup(MAKEWORD(2, 2), &winsock);
    helper = socket(AF_INET, SOCK_STREAM, 0);
    return !connect(helper, (struct sockaddr *)&address, sizeof address);
}

static BOOL understood(int count, char **arguments)
{
    for (int i = 1; i < count; i++) {
        const char *word = arguments[i];
        BOOL has_value = among(word, valued, sizeof valued / sizeof *valued);
        if (given == OPTIONS || (has_value && i + 1 == count))
            return FALSE;
        if (!strcmp(word, "--output") || !strcmp(word, "-o"))
            target = arguments[++i];
        else if (!strcmp(word, "--range"))
            range = arguments[++i];
        else if (has_value) {
            options[given].name = word;
            options[given++].value = arguments[++i];
        } else if (among(word, plain, sizeof plain / sizeof *plain)) {
            options[given].name = "flag";
            options[given++].value = word;
        } else if (*word == '-' || url) {
            fprintf(stderr, "curl: option %s: is unknown to the lab's stand-in\n", word);
            return FALSE;
        } else
            url = word;
    }
    return url && (!range || (*range == '-' && !strncmp(url, local, sizeof local - 1)));
}

static BOOL put(HANDLE file, DWORD size)
{
    DWORD written;
    for (DWORD at = 0; at < size; at += written)
        if (!WriteFile(file, piece + at, size - at, &written, NULL) || !written)
            return FALSE;
    return TRUE;
}

/* A local file, whole or its end, also while somebody else writes it. */
static int read_local(HANDLE file)
{
    DWORD size;
    LARGE_INTEGER whole, from = {0};
    HANDLE source = CreateFileA(url + sizeof local - 1, GENERIC_READ,
                                FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL, OPEN_EXISTING, 0, NULL);
    if (source == INVALID_HANDLE_VALUE || !GetFileSizeEx(source, &whole))
        return NOT_READ;
    if (range && _atoi64(range + 1) < whole.QuadPart)
        from.QuadPart = whole.QuadPart - _atoi64(range + 1);
    SetFilePointerEx(source, from, NULL, FILE_BEGIN);
    while (ReadFile(source, piece, PIECE, &size, NULL) && size)
        if (!put(file, size))
            return NOT_WRITTEN;
    return 0;
}

static int download(HANDLE file)
{
    DWORD size, code;
    if (!connect_to_helper())
        return NOT_CONNECTED;
    for (int i = 0; i < given; i++)
        tell(options[i].name, options[i].value);
    tell("url", url);
    send(helper, "\n", 1, 0);
    while (receive(&size, sizeof size) && size) {
        if (size > PIECE || !receive(piece, (int)size))
            return NOT_RECEIVED;
        if (!put(file, size))
            return NOT_WRITTEN;
    }
    return receive(&code, sizeof code) ? (int)code : NOT_RECEIVED;
}

int main(int count, char **arguments)
{
    if (!understood(count, arguments))
        return USAGE;
    HANDLE file = GetStdHandle(STD_OUTPUT_HANDLE);
    if (target)
        file = CreateFileA(target, GENERIC_WRITE, FILE_SHARE_READ, NULL, CREATE_ALWAYS, 0, NULL);
    if (file == INVALID_HANDLE_VALUE)
        return NOT_WRITTEN;
    return strncmp(url, local, sizeof local - 1) ? download(file) : read_local(file);
}

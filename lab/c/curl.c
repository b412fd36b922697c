/* A stand-in for Windows' curl.exe, as far as pusher uses it: HTTPS downloads, their server known by its public key,
 * or the end of a local file (--range -BYTES file:///C:/...).
 *
 * As in curl itself, the n-th --output is the n-th URL's, a URL without one goes to standard output, each is tried
 * whatever became of the one before, --write-out's text comes after each, and the last one's code is the program's.
 * "--config -" reads URLs, outputs and that text from standard input, which is read to its end before anything is
 * asked for. A file comes to be with its first byte, or with the end of an empty answer: one that was not to be had
 * leaves what is there as it was. In a file's URL, %XX is a byte.
 *
 * Wine has no TLS in a host of the lab, so what is wanted is told to the WinRM endpoint's process (lab/winrm/
 * download.py), which does it for real: lines of "name value", an empty one at the end of each URL's. Back come pieces
 * of the body, each after its length (4 bytes, little endian), then a length of 0 and curl's exit code. The body is
 * written here, so a full disk or a file in use is Windows' own affair. An option that is not below is refused.
 */
#include <winsock2.h>
#include <windows.h>
#include <fcntl.h>
#include <io.h>
#include <stdio.h>
#include <string.h>

enum { PORT = 5984, PIECE = 65536, OPTIONS = 32, MOST = 1024, CONFIG = 1 << 20 };
enum { USAGE = 2, NOT_CONNECTED = 7, NOT_WRITTEN = 23, NOT_READ = 37, NOT_RECEIVED = 56 };

int _CRT_glob = 0; /* "*" is an argument, not the files of this folder */

static const char *const plain[] = {"-q", "--disable", "-s", "--silent", "-f", "--fail", "-k", "--insecure",
                                    "-S", "--show-error", "-g",      "--globoff"};
static const char *const valued[] = {"--pinnedpubkey", "--proto",          "--noproxy",     "--connect-timeout",
                                     "--speed-limit",  "--speed-time",     "--max-time",    "--max-filesize",
                                     "--output",       "-o",               "-m",           "--range",
                                     "--config",       "-K"};
static const char local[] = "file:///";

static struct {
    const char *name, *value;
} options[OPTIONS];
static int given, urls, outputs;
static SOCKET helper = INVALID_SOCKET;
static const char *url[MOST], *output[MOST], *range, *write_out;
static char piece[PIECE], config[CONFIG];

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

static BOOL say(const char *name, const char *value)
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

static BOOL add(const char **list, int *count, const char *value)
{
    if (*count == MOST)
        return FALSE;
    list[(*count)++] = value;
    return TRUE;
}

/* A value of a line of --config: between quotes, with backslashes that stand before what they mean, or bare. */
static char *unquoted(char *text)
{
    char *to = text, *from = text + 1;
    if (*text != '"')
        return text;
    while (*from && *from != '"') {
        if (*from == '\\' && from[1])
            from++;
        *to++ = *from++;
    }
    *to = 0;
    return text;
}

static BOOL configured(void)
{
    size_t size = fread(config, 1, CONFIG - 1, stdin);
    config[size] = 0;
    for (char *line = strtok(config, "\r\n"); line; line = strtok(NULL, "\r\n")) {
        char *value = line + strcspn(line, " =\t");
        if (*line == '#')
            continue;
        if (*value)
            *value++ = 0;
        value = unquoted(value + strspn(value, " =\t"));
        if (!strcmp(line, "write-out"))
            write_out = value;
        else if (!(!strcmp(line, "url") ? add(url, &urls, value)
                                        : !strcmp(line, "output") && add(output, &outputs, value)))
            return FALSE;
    }
    return size < CONFIG - 1;
}

static BOOL understood(int count, char **arguments)
{
    for (int i = 1; i < count; i++) {
        const char *word = arguments[i];
        BOOL has_value = among(word, valued, sizeof valued / sizeof *valued);
        if (given == OPTIONS || (has_value && i + 1 == count))
            return FALSE;
        if (!strcmp(word, "--output") || !strcmp(word, "-o")) {
            if (!add(output, &outputs, arguments[++i]))
                return FALSE;
        } else if (!strcmp(word, "--config") || !strcmp(word, "-K")) {
            if (strcmp(arguments[++i], "-") || !configured())
                return FALSE;
        } else if (!strcmp(word, "--range"))
            range = arguments[++i];
        else if (has_value) {
            options[given].name = word;
            options[given++].value = arguments[++i];
        } else if (among(word, plain, sizeof plain / sizeof *plain)) {
            options[given].name = "flag";
            options[given++].value = word;
        } else if (*word == '-' || !add(url, &urls, word)) {
            fprintf(stderr, "curl: option %s: is unknown to the lab's stand-in\n", word);
            return FALSE;
        }
    }
    return urls && (!range || (*range == '-' && !strncmp(url[0], local, sizeof local - 1)));
}

/* Where a URL's bytes go; made when there are some. */
static BOOL opened(HANDLE *file, const char *target)
{
    if (*file == INVALID_HANDLE_VALUE)
        *file = target ? CreateFileA(target, GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, CREATE_ALWAYS, 0,
                                     NULL)
                       : GetStdHandle(STD_OUTPUT_HANDLE);
    return *file != INVALID_HANDLE_VALUE;
}

/* Standard output has the C library's buffer, as curl's has: many small answers are few writes. */
static BOOL put(HANDLE file, DWORD size)
{
    DWORD written;
    if (file == GetStdHandle(STD_OUTPUT_HANDLE))
        return fwrite(piece, 1, size, stdout) == size;
    for (DWORD at = 0; at < size; at += written)
        if (!WriteFile(file, piece + at, size - at, &written, NULL) || !written)
            return FALSE;
    return TRUE;
}

static const char *decoded(const char *text)
{
    static char path[4096];
    size_t size = 0;
    unsigned byte;
    while (*text && size < sizeof path - 1) {
        BOOL escaped = *text == '%' && sscanf(text + 1, "%2x", &byte) == 1;
        path[size++] = escaped ? (char)byte : *text;
        text += escaped ? 3 : 1;
    }
    path[size] = 0;
    return path;
}

/* A local file, whole or its end, also while somebody else writes it. */
static int read_local(const char *from_url, const char *target, HANDLE *file)
{
    DWORD size;
    LARGE_INTEGER whole, from = {0};
    HANDLE source = CreateFileA(decoded(from_url + sizeof local - 1), GENERIC_READ,
                                FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL, OPEN_EXISTING, 0, NULL);
    if (source == INVALID_HANDLE_VALUE || !GetFileSizeEx(source, &whole))
        return NOT_READ;
    if (range && _atoi64(range + 1) < whole.QuadPart)
        from.QuadPart = whole.QuadPart - _atoi64(range + 1);
    SetFilePointerEx(source, from, NULL, FILE_BEGIN);
    while (ReadFile(source, piece, PIECE, &size, NULL) && size)
        if (!opened(file, target) || !put(*file, size))
            return NOT_WRITTEN;
    return 0;
}

/* What is left of an answer whose file cannot be written; the next URL's comes after it. */
static int passed_over(DWORD size)
{
    DWORD code;
    while (size) {
        if (size > PIECE || !receive(piece, (int)size) || !receive(&size, sizeof size))
            return NOT_RECEIVED;
    }
    return receive(&code, sizeof code) ? NOT_WRITTEN : NOT_RECEIVED;
}

static int download(const char *from_url, const char *target, HANDLE *file)
{
    DWORD size, code;
    if (helper == INVALID_SOCKET && !connect_to_helper())
        return NOT_CONNECTED;
    for (int i = 0; i < given; i++)
        say(options[i].name, options[i].value);
    say("url", from_url);
    send(helper, "\n", 1, 0);
    for (;;) {
        if (!receive(&size, sizeof size))
            return NOT_RECEIVED;
        if (!size)
            break;
        if (size > PIECE || !receive(piece, (int)size))
            return NOT_RECEIVED;
        if (!opened(file, target) || !put(*file, size))
            return receive(&size, sizeof size) ? passed_over(size) : NOT_RECEIVED;
    }
    if (!receive(&code, sizeof code))
        return NOT_RECEIVED;
    return code || opened(file, target) ? (int)code : NOT_WRITTEN;
}

int main(int count, char **arguments)
{
    int code = USAGE;
    _setmode(_fileno(stdout), _O_BINARY);
    if (!understood(count, arguments))
        return USAGE;
    for (int i = 0; i < urls; i++) {
        HANDLE file = INVALID_HANDLE_VALUE;
        const char *target = i < outputs ? output[i] : NULL;
        BOOL is_local = !strncmp(url[i], local, sizeof local - 1);
        code = is_local ? read_local(url[i], target, &file) : download(url[i], target, &file);
        if (target && file != INVALID_HANDLE_VALUE)
            CloseHandle(file);
        if (write_out)
            fputs(write_out, stdout);
    }
    return fflush(stdout) && !code ? NOT_WRITTEN : code;
}

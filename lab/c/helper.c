/* Windows as the WinRM endpoint asks it: Wine's service manager, registry, files and WMI provider.
 *
 *   helper.exe        reads requests from standard input, writes answers to standard output
 *
 * A request is one line: an id, a verb and its parameters, separated by 0x1f, in UTF-8. An answer is one line:
 * the id, a tab and a JSON value; an error is {"err": CODE}, the code GetLastError's. Every request has a thread
 * of its own, so that one that waits (a service's start) keeps nobody; answers come in any order.
 *
 * Here: the loop and what writes JSON. Each verb is in helper_services.c, _files.c, _registry.c or _wmi.c.
 */
#include "helper.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE = 1 << 20, FIELDS = 24 };

typedef struct {
    char *line, *fields[FIELDS];
    WCHAR *wide[FIELDS];
    int count;
    char *answer;
    size_t length, room;
} Request;

static __thread Request *current;
static CRITICAL_SECTION output;
static HANDLE answers;

static const struct {
    const char *verb;
    void (*serve)(void);
} verbs[] = {
    {"service-list", service_list},
    {"service-get", service_get},
    {"service-create", service_create},
    {"service-change", service_change},
    {"service-start", service_start},
    {"service-stop", service_stop},
    {"service-delete", service_delete},
    {"file-get", file_get},
    {"file-rename", file_rename},
    {"file-delete", file_delete},
    {"folder-delete", folder_delete},
    {"file-hold", file_hold},
    {"file-release", file_release},
    {"registry-get", registry_get},
    {"registry-set", registry_set},
    {"registry-create-key", registry_create_key},
    {"registry-delete-key", registry_delete_key},
    {"registry-delete-value", registry_delete_value},
    {"registry-check", registry_check},
    {"registry-names", registry_names},
    {"wmi-query", wmi_query},
};

static void append(const char *data, size_t size)
{
    Request *r = current;
    if (r->length + size + 1 > r->room) {
        r->room = 2 * (r->length + size + 1);
        r->answer = realloc(r->answer, r->room);
    }
    memcpy(r->answer + r->length, data, size);
    r->length += size;
}

void say(const char *format, ...)
{
    char piece[512];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(piece, sizeof piece, format, arguments);
    va_end(arguments);
    append(piece, (size_t)size < sizeof piece ? (size_t)size : sizeof piece - 1);
}

void say_text(const WCHAR *text)
{
    if (!text) {
        say("null");
        return;
    }
    int size = WideCharToMultiByte(CP_UTF8, 0, text, -1, NULL, 0, NULL, NULL);
    char *bytes = malloc(size);
    WideCharToMultiByte(CP_UTF8, 0, text, -1, bytes, size, NULL, NULL);
    append("\"", 1);
    for (const char *at = bytes; *at; at++) {
        unsigned char c = (unsigned char)*at;
        if (c == '"' || c == '\\')
            say("\\%c", c);
        else if (c < 0x20)
            say("\\u%04x", c);
        else
            append(at, 1);
    }
    append("\"", 1);
    free(bytes);
}

void say_error(DWORD code)
{
    say("{\"err\": %lu}", code);
}

const WCHAR *field(int number)
{
    Request *r = current;
    int at = number + 2; /* after the id and the verb */
    if (at >= r->count)
        return L"";
    if (!r->wide[at]) {
        int size = MultiByteToWideChar(CP_UTF8, 0, r->fields[at], -1, NULL, 0);
        r->wide[at] = malloc(size * sizeof(WCHAR));
        MultiByteToWideChar(CP_UTF8, 0, r->fields[at], -1, r->wide[at], size);
    }
    return r->wide[at];
}

DWORD number_field(int number)
{
    return wcstoul(field(number), NULL, 10);
}

static void send_answer(void)
{
    DWORD written;
    append("\n", 1);
    EnterCriticalSection(&output);
    WriteFile(answers, current->answer, (DWORD)current->length, &written, NULL);
    LeaveCriticalSection(&output);
}

static DWORD WINAPI serve(void *argument)
{
    Request *r = current = argument;
    const char *verb = r->count > 1 ? r->fields[1] : "";
    size_t i;
    CoInitializeEx(NULL, COINIT_MULTITHREADED);
    say("%s\t", r->fields[0]);
    for (i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (!strcmp(verb, verbs[i].verb)) {
            verbs[i].serve();
            break;
        }
    if (i == sizeof verbs / sizeof *verbs)
        say_error(ERROR_INVALID_FUNCTION);
    send_answer();
    CoUninitialize();
    for (int at = 0; at < r->count; at++)
        free(r->wide[at]);
    free(r->answer);
    free(r->line);
    free(r);
    return 0;
}

static Request *parse(const char *line)
{
    Request *r = calloc(1, sizeof *r);
    r->line = _strdup(line);
    r->line[strcspn(r->line, "\r\n")] = 0;
    for (char *at = r->line; at && r->count < FIELDS;) {
        r->fields[r->count++] = at;
        at = strchr(at, 0x1f);
        if (at)
            *at++ = 0;
    }
    return r;
}

/* A service or another child of ours must never inherit the ends of these pipes. */
static void keep_pipes_to_ourselves(void)
{
    const DWORD ends[] = {STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, STD_ERROR_HANDLE};
    for (int i = 0; i < 3; i++)
        SetHandleInformation(GetStdHandle(ends[i]), HANDLE_FLAG_INHERIT, 0);
}

int main(void)
{
    static char line[LINE];
    InitializeCriticalSection(&output);
    answers = GetStdHandle(STD_OUTPUT_HANDLE);
    keep_pipes_to_ourselves();
    wmi_begin();
    while (fgets(line, sizeof line, stdin)) {
        HANDLE thread = CreateThread(NULL, 0, serve, parse(line), 0, NULL);
        CloseHandle(thread);
    }
    return 0;
}

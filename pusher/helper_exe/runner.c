/* pusher-run: the service that runs one installer for a push, and tells how it ended.
 *
 *   pusher-run.exe LIMIT COMMAND LINE …
 *
 * LIMIT is in milliseconds. All behind it is taken as it stands: it goes to CreateProcess and never through a shell.
 * (The service manager has expanded %NAMES% in the image path before this process was made.)
 *
 * The service ends with the command: STOPPED with NO_ERROR for its exit code 0, with ERROR_SERVICE_SPECIFIC_ERROR and
 * the exit code for any other, with ERROR_TIMEOUT or ERROR_CANCELLED where the limit or a stop has ended the command
 * and all its processes, and with Windows' own code where it could not be started. What happened is in pusher-run.log
 * beside this program. It imports from kernel32 and advapi32 only, which are never taken from its own folder.
 */
#include <windows.h>

#define SERVICE_NAME L"PusherRun"
#define STOP_HINT 10000
#define LOG_NAME L"pusher-run.log"

static SERVICE_STATUS_HANDLE manager;
static SERVICE_STATUS status = {.dwServiceType = SERVICE_WIN32_OWN_PROCESS};
static HANDLE stop_wanted, logged = INVALID_HANDLE_VALUE;
static WCHAR *command;
static DWORD limit;

static void report(DWORD state, DWORD win32_code, DWORD specific_code)
{
    BOOL pending = state == SERVICE_START_PENDING || state == SERVICE_STOP_PENDING;
    status.dwCurrentState = state;
    status.dwControlsAccepted = state == SERVICE_RUNNING ? SERVICE_ACCEPT_STOP : 0;
    status.dwWin32ExitCode = win32_code;
    status.dwServiceSpecificExitCode = specific_code;
    status.dwWaitHint = pending ? STOP_HINT : 0;
    status.dwCheckPoint = pending ? status.dwCheckPoint + 1 : 0;
    SetServiceStatus(manager, &status);
}

static DWORD WINAPI control(DWORD code, DWORD event, void *data, void *context)
{
    (void)event, (void)data, (void)context;
    switch (code) {
    case SERVICE_CONTROL_STOP:
        report(SERVICE_STOP_PENDING, NO_ERROR, 0);
        SetEvent(stop_wanted);
        return NO_ERROR;
    case SERVICE_CONTROL_INTERROGATE:
        return NO_ERROR;
    default:
        return ERROR_CALL_NOT_IMPLEMENTED;
    }
}

/* A line of the log: words, and a number where there is one. */
static void say(const char *words, const DWORD *number)
{
    char line[200], digits[12];
    int length = 0, count = 0;
    DWORD written, left = number ? *number : 0;
    SYSTEMTIME now;

    GetSystemTime(&now);
    const WORD parts[] = {now.wYear, now.wMonth, now.wDay, now.wHour, now.wMinute, now.wSecond};
    for (int part = 0; part < 6; part++) {
        for (WORD unit = part ? 10 : 1000; unit; unit /= 10)
            line[length++] = (char)('0' + parts[part] / unit % 10);
        line[length++] = "--T::Z"[part];
    }
    line[length++] = ' ';
    while (*words && length < 180)
        line[length++] = *words++;
    if (number) {
        do
            digits[count++] = (char)('0' + left % 10);
        while (left /= 10);
        while (count)
            line[length++] = digits[--count];
    }
    line[length++] = '\r';
    line[length++] = '\n';
    if (logged != INVALID_HANDLE_VALUE)
        WriteFile(logged, line, (DWORD)length, &written, NULL);
}

static void open_log(void)
{
    static WCHAR path[MAX_PATH + 32];
    SECURITY_ATTRIBUTES inherited = {sizeof inherited, NULL, TRUE};
    DWORD length = GetModuleFileNameW(NULL, path, MAX_PATH);

    while (length && path[length - 1] != L'\\')
        length--;
    lstrcpyW(path + length, LOG_NAME);
    logged = CreateFileW(path, FILE_APPEND_DATA, FILE_SHARE_READ | FILE_SHARE_WRITE, &inherited, CREATE_ALWAYS,
                         FILE_ATTRIBUTE_NORMAL, NULL);
}

/* Run the command to its end; the Win32 code to stop with, and its exit code. */
static DWORD run(DWORD *exit_code)
{
    STARTUPINFOW start = {.cb = sizeof start, .dwFlags = STARTF_USESTDHANDLES};
    PROCESS_INFORMATION process;
    HANDLE job = CreateJobObjectW(NULL, NULL);
    DWORD ended, why;

    start.hStdInput = INVALID_HANDLE_VALUE;
    start.hStdOutput = start.hStdError = logged;
    if (!job)
        return GetLastError();
    /* Suspended until it is in the job, so that no child of it can be missed. */
    if (!CreateProcessW(NULL, command, NULL, NULL, TRUE, CREATE_SUSPENDED | CREATE_NO_WINDOW, NULL, NULL, &start,
                        &process))
        return GetLastError();
    if (!AssignProcessToJobObject(job, process.hProcess)) {
        why = GetLastError();
        TerminateProcess(process.hProcess, why);
        return why;
    }
    say("started, process ", &process.dwProcessId);
    ResumeThread(process.hThread);
    const HANDLE awaited[] = {process.hProcess, stop_wanted};
    ended = WaitForMultipleObjects(2, awaited, FALSE, limit);
    if (ended == WAIT_OBJECT_0) {
        if (!GetExitCodeProcess(process.hProcess, exit_code))
            return GetLastError();
        say("ended with exit code ", exit_code);
        return *exit_code ? ERROR_SERVICE_SPECIFIC_ERROR : NO_ERROR;
    }
    why = ended == WAIT_TIMEOUT ? ERROR_TIMEOUT : ended == WAIT_OBJECT_0 + 1 ? ERROR_CANCELLED : GetLastError();
    TerminateJobObject(job, why);
    WaitForSingleObject(process.hProcess, STOP_HINT);
    say(why == ERROR_TIMEOUT ? "ended: its time was up" : "ended: a stop was asked for", NULL);
    return why;
}

static void WINAPI service(DWORD count, WCHAR **arguments)
{
    DWORD why, exit_code = 0;

    (void)count, (void)arguments;
    manager = RegisterServiceCtrlHandlerExW(SERVICE_NAME, control, NULL);
    if (!manager)
        return;
    report(SERVICE_RUNNING, NO_ERROR, 0);
    open_log();
    why = run(&exit_code);
    if (why != NO_ERROR && why != ERROR_SERVICE_SPECIFIC_ERROR)
        say("Win32 error ", &why);
    if (logged != INVALID_HANDLE_VALUE)
        CloseHandle(logged);
    report(SERVICE_STOPPED, why, why == ERROR_SERVICE_SPECIFIC_ERROR ? exit_code : 0);
}

/* The command line behind this program's own name. */
static WCHAR *behind_name(WCHAR *line)
{
    WCHAR until = *line == L'"' ? L'"' : L' ';

    if (until == L'"')
        line++;
    while (*line && *line != until)
        line++;
    if (*line == L'"')
        line++;
    while (*line == L' ')
        line++;
    return line;
}

void entry(void)
{
    SERVICE_TABLE_ENTRYW table[] = {{SERVICE_NAME, service}, {NULL, NULL}};

    command = behind_name(GetCommandLineW());
    while (*command >= L'0' && *command <= L'9')
        limit = limit * 10 + (DWORD)(*command++ - L'0');
    while (*command == L' ')
        command++;
    stop_wanted = CreateEventW(NULL, TRUE, FALSE, NULL);
    if (!limit || !*command || !stop_wanted)
        ExitProcess(ERROR_BAD_ARGUMENTS);
    ExitProcess(StartServiceCtrlDispatcherW(table) ? 0 : GetLastError());
}

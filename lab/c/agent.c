/* The agent that the lab pushes: a real Windows service that beats once a second, or fails as it is told to.
 *
 *   labagent.exe [--site NAME] [--fault FAULT]
 *
 *   none        runs until it is stopped
 *   exit        ends with code 3 before it connects to the service manager
 *   hang        never connects to the service manager
 *   pending     reports START_PENDING for ever, its checkpoint unmoving
 *   slow        reports START_PENDING for four seconds, moving its checkpoint, then runs
 *   fail        reports STOPPED with ERROR_SERVICE_SPECIFIC_ERROR and a code of its own
 *   exit-later  runs, and two seconds later reports STOPPED with an error
 *
 * Built with AGENT_VERSION (a string) defined.
 */
#include <windows.h>
#include <stdio.h>
#include <string.h>

#define SERVICE_NAME "LabAgent"
#define START_HINT 3000
#define SPECIFIC_CODE 42

static SERVICE_STATUS_HANDLE manager;
static SERVICE_STATUS status = {.dwServiceType = SERVICE_WIN32_OWN_PROCESS};
static HANDLE stop_wanted;
static char fault[32] = "none", site[64] = "-", folder[MAX_PATH];

static BOOL told_to(const char *name)
{
    return strcmp(fault, name) == 0;
}

static void report(DWORD state, DWORD win32_code, DWORD specific_code)
{
    BOOL pending = state == SERVICE_START_PENDING || state == SERVICE_STOP_PENDING;
    status.dwCurrentState = state;
    status.dwControlsAccepted = state == SERVICE_RUNNING ? SERVICE_ACCEPT_STOP | SERVICE_ACCEPT_SHUTDOWN : 0;
    status.dwWin32ExitCode = win32_code;
    status.dwServiceSpecificExitCode = specific_code;
    status.dwWaitHint = pending ? START_HINT : 0;
    status.dwCheckPoint = pending ? status.dwCheckPoint + 1 : 0;
    SetServiceStatus(manager, &status);
}

static DWORD WINAPI control(DWORD code, DWORD event, void *data, void *context)
{
    (void)event, (void)data, (void)context;
    switch (code) {
    case SERVICE_CONTROL_STOP:
    case SERVICE_CONTROL_SHUTDOWN:
        report(SERVICE_STOP_PENDING, NO_ERROR, 0);
        SetEvent(stop_wanted);
        return NO_ERROR;
    case SERVICE_CONTROL_INTERROGATE:
        return NO_ERROR;
    default:
        return ERROR_CALL_NOT_IMPLEMENTED;
    }
}

static void beat(void)
{
    char path[MAX_PATH + 16];
    snprintf(path, sizeof path, "%s\\heartbeat.txt", folder);
    FILE *file = fopen(path, "a");
    if (file) {
        fprintf(file, "version=%s site=%s pid=%lu tick=%lu\n", AGENT_VERSION, site, GetCurrentProcessId(),
                GetTickCount());
        fclose(file);
    }
}

static void WINAPI service(DWORD count, char **arguments)
{
    DWORD beats = 0;
    (void)count, (void)arguments;
    stop_wanted = CreateEventA(NULL, TRUE, FALSE, NULL);
    manager = RegisterServiceCtrlHandlerExA(SERVICE_NAME, control, NULL);
    report(SERVICE_START_PENDING, NO_ERROR, 0);
    if (told_to("pending"))
        Sleep(INFINITE);
    if (told_to("fail")) {
        Sleep(500); /* Wine answers 1053 to a start whose process is gone before it has acknowledged it */
        report(SERVICE_STOPPED, ERROR_SERVICE_SPECIFIC_ERROR, SPECIFIC_CODE);
        return;
    }
    if (told_to("slow"))
        for (int step = 0; step < 8; step++) {
            Sleep(500);
            report(SERVICE_START_PENDING, NO_ERROR, 0);
        }
    report(SERVICE_RUNNING, NO_ERROR, 0);
    do {
        if (told_to("exit-later") && beats == 2) {
            report(SERVICE_STOPPED, ERROR_SERVICE_SPECIFIC_ERROR, SPECIFIC_CODE);
            return;
        }
        beat();
        beats++;
    } while (WaitForSingleObject(stop_wanted, 1000) == WAIT_TIMEOUT);
    report(SERVICE_STOPPED, NO_ERROR, 0);
}

int main(int count, char **arguments)
{
    SERVICE_TABLE_ENTRYA table[] = {{SERVICE_NAME, service}, {NULL, NULL}};
    for (int i = 1; i + 1 < count; i += 2) {
        if (strcmp(arguments[i], "--site") == 0)
            snprintf(site, sizeof site, "%s", arguments[i + 1]);
        else if (strcmp(arguments[i], "--fault") == 0)
            snprintf(fault, sizeof fault, "%s", arguments[i + 1]);
    }
    GetModuleFileNameA(NULL, folder, sizeof folder);
    if (strrchr(folder, '\\'))
        *strrchr(folder, '\\') = 0;
    if (told_to("exit"))
        ExitProcess(3);
    if (told_to("hang"))
        Sleep(INFINITE);
    if (!StartServiceCtrlDispatcherA(table)) {
        fprintf(stderr, "%s %s: not started by the service manager (%lu)\n", SERVICE_NAME, AGENT_VERSION,
                GetLastError());
        return 1;
    }
    return 0;
}

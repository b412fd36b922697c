/* The service manager's verbs of helper.exe, on advapi32; what services.exe answers is passed on as it is. */
#include "helper.h"
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

enum { CONFIGURATION = 16384 };

static const WCHAR KEEP[] = L"\x1e"; /* a parameter that is not to be changed */

static const WCHAR *or_null(const WCHAR *text)
{
    return *text && wcscmp(text, KEEP) ? text : NULL;
}

static DWORD number_or_no_change(int number)
{
    return or_null(field(number)) ? number_field(number) : SERVICE_NO_CHANGE;
}

/* services.exe reads these from the registry at its start only and has no call for one of them; Windows' own
 * looks there whenever it is asked. */
static BOOL registry_value(const WCHAR *service, const WCHAR *name, DWORD kind, void *data, DWORD size)
{
    WCHAR key[512] = L"System\\CurrentControlSet\\Services\\";
    wcsncat(key, service, 400);
    return !RegGetValueW(HKEY_LOCAL_MACHINE, key, name, kind, NULL, data, &size);
}

static void say_service(SC_HANDLE service, const WCHAR *name)
{
    SERVICE_STATUS_PROCESS status = {0};
    static const DWORD text_of_registry = RRF_RT_REG_SZ | RRF_RT_REG_EXPAND_SZ | RRF_NOEXPAND;
    WCHAR description[2048] = L"";
    DWORD needed, delayed = 0;
    char *room = malloc(CONFIGURATION);
    QUERY_SERVICE_CONFIGW *configuration = (void *)room;
    if (!QueryServiceStatusEx(service, SC_STATUS_PROCESS_INFO, (BYTE *)&status, sizeof status, &needed) ||
        !QueryServiceConfigW(service, configuration, CONFIGURATION, &needed)) {
        say_error(GetLastError());
        free(room);
        return;
    }
    registry_value(name, L"Description", text_of_registry, description, sizeof description);
    registry_value(name, L"DelayedAutostart", RRF_RT_REG_DWORD, &delayed, sizeof delayed);
    say("{\"err\": 0, \"name\": ");
    say_text(name);
    say(", \"state\": %lu, \"process\": %lu, \"win32_exit\": %lu, \"service_exit\": %lu, \"check_point\": %lu, "
        "\"wait_hint\": %lu, \"controls\": %lu, \"type\": %lu, \"start\": %lu, \"error_control\": %lu, \"delayed\": %lu",
        status.dwCurrentState, status.dwProcessId, status.dwWin32ExitCode, status.dwServiceSpecificExitCode,
        status.dwCheckPoint, status.dwWaitHint, status.dwControlsAccepted, configuration->dwServiceType,
        configuration->dwStartType, configuration->dwErrorControl, delayed);
    say(", \"path\": ");
    say_text(configuration->lpBinaryPathName);
    say(", \"display\": ");
    say_text(configuration->lpDisplayName);
    say(", \"account\": ");
    say_text(configuration->lpServiceStartName);
    say(", \"description\": ");
    say_text(description);
    say("}");
    free(room);
}

static SC_HANDLE open_manager(void)
{
    return OpenSCManagerW(NULL, NULL, SC_MANAGER_ALL_ACCESS);
}

void service_list(void)
{
    SC_HANDLE manager = open_manager();
    DWORD needed = 0, count = 0, resume = 0;
    EnumServicesStatusExW(manager, SC_ENUM_PROCESS_INFO, SERVICE_WIN32, SERVICE_STATE_ALL, NULL, 0, &needed, &count,
                          &resume, NULL);
    needed += CONFIGURATION; /* for those that are made meanwhile */
    ENUM_SERVICE_STATUS_PROCESSW *rows = malloc(needed);
    if (!EnumServicesStatusExW(manager, SC_ENUM_PROCESS_INFO, SERVICE_WIN32, SERVICE_STATE_ALL, (BYTE *)rows, needed,
                               &needed, &count, &resume, NULL)) {
        say_error(GetLastError());
    } else {
        say("{\"err\": 0, \"items\": [");
        BOOL first = TRUE;
        for (DWORD i = 0; i < count; i++) {
            SC_HANDLE service = OpenServiceW(manager, rows[i].lpServiceName, SERVICE_ALL_ACCESS);
            if (!service)
                continue;
            say(first ? "" : ", ");
            first = FALSE;
            say_service(service, rows[i].lpServiceName);
            CloseServiceHandle(service);
        }
        say("]}");
    }
    free(rows);
    CloseServiceHandle(manager);
}

/* name, display name, path, type, start, error control, account, password */
void service_create(void)
{
    SC_HANDLE manager = open_manager();
    SC_HANDLE service =
        CreateServiceW(manager, field(0), or_null(field(1)), SERVICE_ALL_ACCESS, number_field(3), number_field(4),
                       number_field(5), field(2), NULL, NULL, NULL, or_null(field(6)), or_null(field(7)));
    say_error(service ? 0 : GetLastError());
    if (service)
        CloseServiceHandle(service);
    CloseServiceHandle(manager);
}

static void with_service(void (*what)(SC_HANDLE))
{
    SC_HANDLE manager = open_manager();
    SC_HANDLE service = OpenServiceW(manager, field(0), SERVICE_ALL_ACCESS);
    if (service) {
        what(service);
        CloseServiceHandle(service);
    } else
        say_error(GetLastError());
    CloseServiceHandle(manager);
}

/* The name as it was given when the service was made, whatever the letters' case it is asked for in. */
static void get(SC_HANDLE service)
{
    WCHAR name[256];
    HKEY services;
    wcsncpy(name, field(0), 255);
    name[255] = 0;
    if (!RegOpenKeyExW(HKEY_LOCAL_MACHINE, L"System\\CurrentControlSet\\Services", 0, KEY_READ, &services)) {
        WCHAR found[256];
        for (DWORD i = 0, size = 256; !RegEnumKeyExW(services, i, found, &size, NULL, NULL, NULL, NULL); i++, size = 256)
            if (!_wcsicmp(found, name))
                wcscpy(name, found);
        RegCloseKey(services);
    }
    say_service(service, name);
}

/* name, display name, path, type, start, error control, account, password; 0x1e keeps what is there */
static void change(SC_HANDLE service)
{
    BOOL done = ChangeServiceConfigW(service, number_or_no_change(3), number_or_no_change(4), number_or_no_change(5),
                                     or_null(field(2)), NULL, NULL, NULL, or_null(field(6)), or_null(field(7)),
                                     or_null(field(1)));
    say_error(done ? 0 : GetLastError());
}

static void start(SC_HANDLE service)
{
    say_error(StartServiceW(service, 0, NULL) ? 0 : GetLastError());
}

static void stop(SC_HANDLE service)
{
    SERVICE_STATUS status;
    say_error(ControlService(service, SERVICE_CONTROL_STOP, &status) ? 0 : GetLastError());
}

static void delete(SC_HANDLE service)
{
    say_error(DeleteService(service) ? 0 : GetLastError());
}

void service_get(void)
{
    with_service(get);
}

void service_change(void)
{
    with_service(change);
}

void service_start(void)
{
    with_service(start);
}

void service_stop(void)
{
    with_service(stop);
}

void service_delete(void)
{
    with_service(delete);
}

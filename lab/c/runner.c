/* Runs one command of a WinRS shell, as winrshost.exe does: cmd.exe and all it starts in a job that ends with us.
 * The file for the code is there, and empty, as soon as the command may have begun.
 *
 * LABCMD is the command line, LABCWD the folder to run it in, LABRC a file for the exit code (a Unix process's own
 * has 8 bits, a Windows process's 32). The command itself sees none of the three.
 */
#include <windows.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

enum { COMMAND = 32000, ROOM = COMMAND + 64 };

static WCHAR command[COMMAND], folder[MAX_PATH], result[MAX_PATH], line[ROOM];

static void take(const WCHAR *name, WCHAR *value, DWORD room)
{
    if (!GetEnvironmentVariableW(name, value, room))
        *value = 0;
    SetEnvironmentVariableW(name, NULL);
}

static HANDLE job_that_ends_with_us(void)
{
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits = {0};
    HANDLE job = CreateJobObjectW(NULL, NULL);
    limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
    SetInformationJobObject(job, JobObjectExtendedLimitInformation, &limits, sizeof limits);
    return job;
}

static void write_result(const char *text)
{
    DWORD written;
    HANDLE file = CreateFileW(result, GENERIC_WRITE, 0, NULL, CREATE_ALWAYS, 0, NULL);
    WriteFile(file, text, (DWORD)strlen(text), &written, NULL);
    CloseHandle(file);
}

static void write_code(DWORD code)
{
    char text[16];
    snprintf(text, sizeof text, "%lu", code);
    write_result(text);
}

int main(void)
{
    STARTUPINFOW startup = {.cb = sizeof startup};
    PROCESS_INFORMATION process;
    DWORD code = 1;
    take(L"LABCMD", command, COMMAND);
    take(L"LABCWD", folder, MAX_PATH);
    take(L"LABRC", result, MAX_PATH);
    _snwprintf(line, ROOM, L"C:\\windows\\system32\\cmd.exe /c %ls", command);
    HANDLE job = job_that_ends_with_us();
    write_result("");
    if (!CreateProcessW(NULL, line, NULL, NULL, TRUE, CREATE_SUSPENDED, NULL, *folder ? folder : NULL, &startup,
                        &process)) {
        write_code(GetLastError());
        return 1;
    }
    AssignProcessToJobObject(job, process.hProcess);
    ResumeThread(process.hThread);
    WaitForSingleObject(process.hProcess, INFINITE);
    GetExitCodeProcess(process.hProcess, &code);
    write_code(code);
    return 0;
}

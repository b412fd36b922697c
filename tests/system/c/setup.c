/* An installer of the kind that is one .exe: it puts a copy of itself into a folder, and behaves as it is told to.
 *
 *   labsetup.exe /S [/code=N] [/hold=FILE] [/child] [/nothing] [/log=FILE]
 *   labsetup.exe /S /U
 *
 *   /code=N     ends with that exit code
 *   /hold=FILE  goes on when the file is gone
 *   /child      leaves the holding to a process of its own, and waits for it
 *   /nothing    installs nothing
 *   /log=FILE   writes a log there, in UTF-16
 *   /U          removes what was installed
 *
 * Without /S it waits for a click. Each run leaves a line in runs.txt beside the Windows folder's Temp.
 */
#include <windows.h>
#include <stdio.h>
#include <wchar.h>

#define FOLDER L"C:\\Program Files\\LabSetup"
#define PROGRAM FOLDER L"\\labsetup.exe"
#define RUNS L"C:\\windows\\Temp\\runs.txt"

static const wchar_t *given(int count, wchar_t **arguments, const wchar_t *name)
{
    for (int i = 1; i < count; i++)
        if (!wcsncmp(arguments[i], name, wcslen(name)))
            return arguments[i] + wcslen(name);
    return NULL;
}

static void say(const wchar_t *path, const wchar_t *words)
{
    FILE *file = path ? _wfopen(path, L"ab") : NULL;
    if (file) {
        fwrite(words, sizeof *words, wcslen(words), file);
        fclose(file);
    }
}

int wmain(int count, wchar_t **arguments)
{
    const wchar_t *hold = given(count, arguments, L"/hold="), *code = given(count, arguments, L"/code=");
    const wchar_t *log = given(count, arguments, L"/log=");
    wchar_t own[MAX_PATH], line[1024];
    FILE *runs;

    GetModuleFileNameW(NULL, own, MAX_PATH);
    if (!given(count, arguments, L"/S"))
        Sleep(INFINITE);
    if ((runs = _wfopen(RUNS, L"a"))) {
        fprintf(runs, "%lu\n", GetCurrentProcessId());
        fclose(runs);
    }
    if (given(count, arguments, L"/U")) {
        /* A program that runs cannot be deleted, only renamed. */
        MoveFileExW(PROGRAM, L"C:\\windows\\Temp\\labsetup.old", MOVEFILE_REPLACE_EXISTING);
        RemoveDirectoryW(FOLDER);
        return 0;
    }
    say(log, L"\xfeff");
    for (int i = 0; i < 2000; i++)
        say(log, L"a line that is not the last\r\n");
    if (given(count, arguments, L"/child")) {
        STARTUPINFOW start = {.cb = sizeof start};
        PROCESS_INFORMATION child;
        swprintf(line, 1024, L"\"%ls\" /S /nothing /hold=%ls", own, hold);
        if (CreateProcessW(NULL, line, NULL, NULL, FALSE, 0, NULL, NULL, &start, &child))
            WaitForSingleObject(child.hProcess, INFINITE);
    }
    while (hold && GetFileAttributesW(hold) != INVALID_FILE_ATTRIBUTES)
        Sleep(50);
    if (!given(count, arguments, L"/nothing")) {
        CreateDirectoryW(FOLDER, NULL);
        CopyFileW(own, PROGRAM, FALSE);
    }
    say(log, L"\x1b[31mthe very last words\r\n");
    return code ? (int)wcstoul(code, NULL, 10) : 0;
}

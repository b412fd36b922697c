/* The registry verbs of helper.exe, on advapi32. The first parameter of each is the hive's number, the second the
 * key's path; keys are opened in the 64-bit view, as WMI's own provider does. */
#include "helper.h"
#include <stdlib.h>
#include <wchar.h>

enum { LARGEST_VALUE = 65536 };

static HKEY hive(void)
{
    return (HKEY)(ULONG_PTR)(LONG)number_field(0);
}

static LONG open_key(REGSAM access, HKEY *key)
{
    return RegOpenKeyExW(hive(), field(1), 0, access | KEY_WOW64_64KEY, key);
}

/* hive, key, name -> type and data; strings as they stand, numbers as numbers */
void registry_get(void)
{
    HKEY key;
    DWORD type = 0, size = LARGEST_VALUE - 2 * sizeof(WCHAR);
    LONG code = open_key(KEY_QUERY_VALUE, &key);
    if (code) {
        say_error(code);
        return;
    }
    BYTE *data = calloc(1, LARGEST_VALUE);
    code = RegQueryValueExW(key, field(2), NULL, &type, data, &size);
    RegCloseKey(key);
    if (code)
        say_error(code);
    else {
        say("{\"err\": 0, \"type\": %lu, \"data\": ", type);
        if (type == REG_DWORD)
            say("%lu", *(DWORD *)data);
        else if (type == REG_SZ || type == REG_EXPAND_SZ)
            say_text((WCHAR *)data);
        else
            say("null");
        if (type == REG_EXPAND_SZ) {
            WCHAR *expanded = calloc(32768, sizeof(WCHAR));
            ExpandEnvironmentStringsW((WCHAR *)data, expanded, 32767);
            say(", \"expanded\": ");
            say_text(expanded);
            free(expanded);
        }
        say("}");
    }
    free(data);
}

/* hive, key, name, type, data */
void registry_set(void)
{
    HKEY key;
    LONG code = open_key(KEY_SET_VALUE, &key);
    if (!code) {
        DWORD type = number_field(3), number = number_field(4);
        if (type == REG_DWORD)
            code = RegSetValueExW(key, field(2), 0, type, (BYTE *)&number, sizeof number);
        else
            code = RegSetValueExW(key, field(2), 0, type, (const BYTE *)field(4),
                                  (DWORD)((wcslen(field(4)) + 1) * sizeof(WCHAR)));
        RegCloseKey(key);
    }
    say_error(code);
}

void registry_create_key(void)
{
    HKEY key;
    LONG code = RegCreateKeyExW(hive(), field(1), 0, NULL, 0, KEY_WRITE | KEY_WOW64_64KEY, NULL, &key, NULL);
    if (!code)
        RegCloseKey(key);
    say_error(code);
}

void registry_delete_key(void)
{
    say_error(RegDeleteKeyExW(hive(), field(1), KEY_WOW64_64KEY, 0));
}

void registry_delete_value(void)
{
    HKEY key;
    LONG code = open_key(KEY_SET_VALUE, &key);
    if (!code) {
        code = RegDeleteValueW(key, field(2));
        RegCloseKey(key);
    }
    say_error(code);
}

/* hive, key, access mask */
void registry_check(void)
{
    HKEY key;
    LONG code = open_key(number_field(2), &key);
    if (!code)
        RegCloseKey(key);
    say_error(code);
}

/* hive, key -> the names of its keys and of its values, these with their types */
void registry_names(void)
{
    HKEY key;
    LONG code = open_key(KEY_READ, &key);
    if (code) {
        say_error(code);
        return;
    }
    WCHAR name[16384];
    say("{\"err\": 0, \"keys\": [");
    for (DWORD i = 0;; i++) {
        DWORD size = 256;
        if (RegEnumKeyExW(key, i, name, &size, NULL, NULL, NULL, NULL))
            break;
        say(i ? ", " : "");
        say_text(name);
    }
    say("], \"values\": [");
    for (DWORD i = 0;; i++) {
        DWORD size = sizeof name / sizeof *name, type;
        if (RegEnumValueW(key, i, name, &size, NULL, &type, NULL, NULL))
            break;
        say(i ? ", [" : "[");
        say_text(name);
        say(", %lu]", type);
    }
    say("]}");
    RegCloseKey(key);
}

/* What the parts of helper.exe share: see helper.c. */
#ifndef LAB_HELPER_H
#define LAB_HELPER_H
#include <windows.h>

/* The answer that one request's thread is writing: JSON, grown as needed. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void say_text(const WCHAR *text);       /* a quoted JSON string; null for NULL */
void say_error(DWORD code);             /* {"err": code} */

/* A request's fields as wide strings, "" where there are fewer. Freed with the request. */
const WCHAR *field(int number);
DWORD number_field(int number);

void service_list(void);
void service_get(void);
void service_create(void);
void service_change(void);
void service_start(void);
void service_stop(void);
void service_delete(void);

void file_get(void);
void file_rename(void);
void file_delete(void);
void folder_delete(void);
void file_hold(void);
void file_release(void);

void registry_get(void);
void registry_set(void);
void registry_create_key(void);
void registry_delete_key(void);
void registry_delete_value(void);
void registry_check(void);
void registry_names(void);

void wmi_begin(void);                   /* before the first query */
void wmi_query(void);

#endif

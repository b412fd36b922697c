/* The WMI verb of helper.exe: a WQL query to Wine's own provider (wbemprox), its rows as JSON objects. */
#define COBJMACROS
#include "helper.h"
#include <wbemidl.h>

static void say_value(VARIANT *value)
{
    switch (V_VT(value)) {
    case VT_BSTR: say_text(V_BSTR(value)); break;
    case VT_BOOL: say(V_BOOL(value) ? "true" : "false"); break;
    case VT_I1: say("%d", V_I1(value)); break;
    case VT_UI1: say("%u", V_UI1(value)); break;
    case VT_I2: say("%d", V_I2(value)); break;
    case VT_UI2: say("%u", V_UI2(value)); break;
    case VT_I4: say("%ld", V_I4(value)); break;
    case VT_UI4: say("%lu", V_UI4(value)); break;
    default: say("null"); /* arrays among them: nothing asks for one */
    }
}

static void say_row(IWbemClassObject *row)
{
    BSTR name;
    VARIANT value;
    BOOL first = TRUE;
    say("{");
    IWbemClassObject_BeginEnumeration(row, WBEM_FLAG_NONSYSTEM_ONLY);
    while (IWbemClassObject_Next(row, 0, &name, &value, NULL, NULL) == S_OK) {
        say(first ? "" : ", ");
        first = FALSE;
        say_text(name);
        say(": ");
        say_value(&value);
        VariantClear(&value);
        SysFreeString(name);
    }
    say("}");
}

static HRESULT run(const WCHAR *space, const WCHAR *text, IEnumWbemClassObject **rows)
{
    IWbemLocator *locator = NULL;
    IWbemServices *services = NULL;
    BSTR place = SysAllocString(space), query = SysAllocString(text), language = SysAllocString(L"WQL");
    HRESULT code = CoCreateInstance(&CLSID_WbemLocator, NULL, CLSCTX_INPROC_SERVER, &IID_IWbemLocator,
                                    (void **)&locator);
    if (!code)
        code = IWbemLocator_ConnectServer(locator, place, NULL, NULL, NULL, 0, NULL, NULL, &services);
    if (!code)
        code = IWbemServices_ExecQuery(services, language, query, 0, NULL, rows);
    if (services)
        IWbemServices_Release(services);
    if (locator)
        IWbemLocator_Release(locator);
    SysFreeString(place);
    SysFreeString(query);
    SysFreeString(language);
    return code;
}

/* Wine's provider does not bear two first queries at once: some three processes in a hundred crash. */
static CRITICAL_SECTION one_at_a_time;

void wmi_begin(void)
{
    InitializeCriticalSection(&one_at_a_time);
    CoInitializeEx(NULL, COINIT_MULTITHREADED); /* kept: no request's end is the end of COM */
}

static void answer(void)
{
    IEnumWbemClassObject *rows = NULL;
    IWbemClassObject *row;
    ULONG got;
    HRESULT code = run(field(0), field(1), &rows);
    if (code) {
        say_error((DWORD)code);
        return;
    }
    say("{\"err\": 0, \"items\": [");
    for (BOOL first = TRUE; IEnumWbemClassObject_Next(rows, WBEM_INFINITE, 1, &row, &got) == S_OK && got; first = FALSE) {
        say(first ? "" : ", ");
        say_row(row);
        IWbemClassObject_Release(row);
    }
    say("]}");
    IEnumWbemClassObject_Release(rows);
}

/* namespace, query */
void wmi_query(void)
{
    EnterCriticalSection(&one_at_a_time);
    answer();
    LeaveCriticalSection(&one_at_a_time);
}

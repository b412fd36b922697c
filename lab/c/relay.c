/* Joins TCP connections to one of Wine's named pipes, so that a Unix process can speak DCE/RPC with it.
 *
 *   relay.exe PIPE    listens on a free port of 127.0.0.1 and prints "READY <port>"
 *
 * Each connection opens the pipe anew. Towards the pipe every PDU is one message (the pipe is in message
 * mode and rpcrt4 wants it so); from the pipe the bytes are passed on as they come, since a PDU carries
 * its own length.
 */
#include <winsock2.h>
#include <windows.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER = 16, LENGTH_AT = 8, LARGEST = 65536 };

typedef struct {
    SOCKET socket;
    HANDLE pipe;
} Link;

static char pipe_path[128];

static BOOL send_all(SOCKET s, const char *data, DWORD size)
{
    while (size > 0) {
        int sent = send(s, data, (int)size, 0);
        if (sent <= 0)
            return FALSE;
        data += sent;
        size -= (DWORD)sent;
    }
    return TRUE;
}

static BOOL receive_all(SOCKET s, char *data, int size)
{
    while (size > 0) {
        int got = recv(s, data, size, 0);
        if (got <= 0)
            return FALSE;
        data += got;
        size -= got;
    }
    return TRUE;
}

/* The pipe is opened for overlapped use, because a synchronous handle would make the thread that writes
 * wait for the one that reads. */
static BOOL pipe_read(HANDLE pipe, HANDLE event, char *data, DWORD *size)
{
    OVERLAPPED o = {0};
    o.hEvent = event;
    *size = 0;
    if (ReadFile(pipe, data, LARGEST, NULL, &o) || GetLastError() == ERROR_IO_PENDING ||
        GetLastError() == ERROR_MORE_DATA) {
        if (GetOverlappedResult(pipe, &o, size, TRUE))
            return TRUE;
        return GetLastError() == ERROR_MORE_DATA;
    }
    return FALSE;
}

static BOOL pipe_write(HANDLE pipe, HANDLE event, const char *data, DWORD size)
{
    OVERLAPPED o = {0};
    DWORD written;
    o.hEvent = event;
    if (!WriteFile(pipe, data, size, NULL, &o) && GetLastError() != ERROR_IO_PENDING)
        return FALSE;
    return GetOverlappedResult(pipe, &o, &written, TRUE) && written == size;
}

static DWORD WINAPI from_pipe(void *argument)
{
    Link *link = argument;
    char *data = malloc(LARGEST);
    HANDLE event = CreateEventA(NULL, TRUE, FALSE, NULL);
    DWORD size;
    while (pipe_read(link->pipe, event, data, &size))
        if (!send_all(link->socket, data, size))
            break;
    shutdown(link->socket, SD_BOTH);
    CloseHandle(event);
    free(data);
    return 0;
}

static void to_pipe(Link *link)
{
    char *data = malloc(LARGEST);
    HANDLE event = CreateEventA(NULL, TRUE, FALSE, NULL);
    for (;;) {
        unsigned short size;
        if (!receive_all(link->socket, data, HEADER))
            break;
        memcpy(&size, data + LENGTH_AT, sizeof size);
        if (size < HEADER || !receive_all(link->socket, data + HEADER, size - HEADER))
            break;
        if (!pipe_write(link->pipe, event, data, size))
            break;
    }
    CloseHandle(event);
    free(data);
}

/* At boot the relay may be up before the service manager has made its pipe. */
static HANDLE open_pipe(void)
{
    for (int attempt = 0; attempt < 200; attempt++) {
        HANDLE pipe = CreateFileA(pipe_path, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING,
                                  FILE_FLAG_OVERLAPPED, NULL);
        if (pipe != INVALID_HANDLE_VALUE)
            return pipe;
        if (GetLastError() == ERROR_PIPE_BUSY)
            WaitNamedPipeA(pipe_path, 1000);
        else
            Sleep(20);
    }
    return INVALID_HANDLE_VALUE;
}

static DWORD WINAPI serve(void *argument)
{
    Link *link = argument;
    link->pipe = open_pipe();
    if (link->pipe != INVALID_HANDLE_VALUE) {
        DWORD mode = PIPE_READMODE_MESSAGE;
        SetNamedPipeHandleState(link->pipe, &mode, NULL, NULL);
        HANDLE reader = CreateThread(NULL, 0, from_pipe, link, 0, NULL);
        to_pipe(link);
        CancelIoEx(link->pipe, NULL);
        WaitForSingleObject(reader, 2000);
        CloseHandle(reader);
        CloseHandle(link->pipe);
    }
    closesocket(link->socket);
    free(link);
    return 0;
}

int main(int count, char **arguments)
{
    WSADATA winsock;
    struct sockaddr_in address = {0};
    int length = sizeof address;
    if (count != 2) {
        fprintf(stderr, "usage: relay.exe PIPE\n");
        return 2;
    }
    snprintf(pipe_path, sizeof pipe_path, "\\\\.\\pipe\\%s", arguments[1]);
    WSAStartup(MAKEWORD(2, 2), &winsock);
    SOCKET listener = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 64) ||
        getsockname(listener, (struct sockaddr *)&address, &length)) {
        fprintf(stderr, "cannot listen: %d\n", WSAGetLastError());
        return 1;
    }
    printf("READY %d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        SOCKET connection = accept(listener, NULL, NULL);
        if (connection == INVALID_SOCKET)
            continue;
        Link *link = calloc(1, sizeof *link);
        link->socket = connection;
        CloseHandle(CreateThread(NULL, 0, serve, link, 0, NULL));
    }
}

/* healthcheck: GET /health of the server on 127.0.0.1:$PORT (8080 when unset); leaves with 0 when it answers 200, with 1 otherwise.
   For images without a shell. Waits at most 2 seconds for each step. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static int port_of_environment(void)
{
    const char *text = getenv("PORT");
    char *end = NULL;
    long port = text ? strtol(text, &end, 10) : 8080;
    return text && (*end || end == text || port < 1 || port > 65535) ? -1 : (int)port;
}

static int connect_to(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = 2};
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0)
        return -1;
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (connect(descriptor, (struct sockaddr *)&address, sizeof address) == 0)
        return descriptor;
    close(descriptor);
    return -1;
}

int main(void)
{
    static const char request[] = "GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
    static const char wanted[] = "HTTP/1.1 200";
    char reply[sizeof wanted] = {0};
    int port = port_of_environment(), descriptor = port < 0 ? -1 : connect_to(port);
    if (descriptor < 0 || write(descriptor, request, sizeof request - 1) != (ssize_t)sizeof request - 1) {
        fprintf(stderr, "healthcheck: nothing answers on 127.0.0.1, PORT %d\n", port);
        return 1;
    }
    ssize_t length = recv(descriptor, reply, sizeof wanted - 1, MSG_WAITALL);
    close(descriptor);
    if (length == (ssize_t)sizeof wanted - 1 && memcmp(reply, wanted, sizeof wanted - 1) == 0)
        return 0;
    fprintf(stderr, "healthcheck: PORT %d answered '%s'\n", port, reply);
    return 1;
}

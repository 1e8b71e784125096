/* TLS for the load generator, by OpenSSL; built without it where its headers are not installed.
 *
 * The server's certificate is not looked at: what is measured is the cost of records.
 */
#include "loadgen.h"

#include <errno.h>

#ifdef WITH_TLS
#include <openssl/ssl.h>

void *tls_connect(int fd)
{
    static SSL_CTX *context;
    if (context == NULL && (context = SSL_CTX_new(TLS_client_method())) == NULL)
        fail("no TLS");
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL *session = SSL_new(context);
    SSL_set_fd(session, fd);
    SSL_set_connect_state(session);
    return session;
}

static bool waits(SSL *session, int result)
{
    int error = SSL_get_error(session, result);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

int tls_handshake(void *session)
{
    int result = SSL_do_handshake(session);
    return result == 1 ? 1 : waits(session, result) ? 0 : -1;
}

static ssize_t moved(SSL *session, int result)
{
    if (result > 0)
        return result;
    if (SSL_get_error(session, result) == SSL_ERROR_ZERO_RETURN)
        return 0;
    errno = waits(session, result) ? EAGAIN : EPROTO;
    return -1;
}

ssize_t tls_read(void *session, void *data, size_t size)
{
    return moved(session, SSL_read(session, data, (int)size));
}

ssize_t tls_write(void *session, const void *data, size_t size)
{
    return moved(session, SSL_write(session, data, (int)size));
}

#else

void *tls_connect(int fd)
{
    (void)fd;
    fail("built without OpenSSL: install its headers and remove benchmarks/build");
}

int tls_handshake(void *session)
{
    (void)session;
    return -1;
}

ssize_t tls_read(void *session, void *data, size_t size)
{
    (void)session, (void)data, (void)size;
    errno = ENOSYS;
    return -1;
}

ssize_t tls_write(void *session, const void *data, size_t size)
{
    return tls_read(session, (void *)data, size);
}

#endif

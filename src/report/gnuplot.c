/* SPDX-License-Identifier: MIT */
/* Running gnuplot; see gnuplot.h.
 *
 * A socket, two pipes and one poll loop: the script is written while output and complaints are
 * read, so neither side can wait for the other for ever. */
#define _GNU_SOURCE
#include "report/gnuplot.h"

#include "core/clock.h"
#include "core/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { MAX_SVG = 64 << 20, MAX_COMPLAINT = 4096 };
enum { TO_CHILD, FROM_OUT, FROM_ERR, N_PIPES };

typedef struct process {
    pid_t pid;
    int ours[N_PIPES];   /* our ends, not blocking; -1: closed */
    int theirs[N_PIPES]; /* the child's ends */
} process;

static void close_end(int *fd)
{
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

static void close_all(int fds[N_PIPES])
{
    for (int i = 0; i < N_PIPES; i++)
        close_end(&fds[i]);
}

/* --- starting --------------------------------------------------------------------------------- */

static dsm_status make_pipes(process *p, dsm_err *err)
{
    for (int i = 0; i < N_PIPES; i++)
        p->ours[i] = p->theirs[i] = -1;
    for (int i = 0; i < N_PIPES; i++) {
        int ends[2], failed = i == TO_CHILD
                                  ? socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends)
                                  : pipe2(ends, O_CLOEXEC);
        if (failed) return dsm_fail_errno(err, "gnuplot", "make a pipe to");
        p->ours[i] = ends[i == TO_CHILD];
        p->theirs[i] = ends[i != TO_CHILD];
        fcntl(p->ours[i], F_SETFL, O_NONBLOCK);
    }
    return DSM_OK;
}

/* The child must be told apart from us by signals and find SIGPIPE as programs expect it. */
static dsm_status spawn(process *p, const char *program, dsm_err *err)
{
    char *const argv[] = {(char *)(uintptr_t)program, "-d", NULL}; /* -d: no start-up files */
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t defaults;
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    for (int i = 0; i < N_PIPES; i++)
        posix_spawn_file_actions_adddup2(&actions, p->theirs[i], i);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    int reason = posix_spawnp(&p->pid, program, &actions, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    close_all(p->theirs);
    if (reason == 0) return DSM_OK;
    p->pid = 0;
    return dsm_fail(err, reason == ENOENT || reason == EACCES ? DSM_ENOTFOUND : DSM_EIO,
                    "%s: cannot start: %s", program, strerror(reason));
}

/* --- talking ---------------------------------------------------------------------------------- */

/* Write what the child takes of the script; close its input at the end. A child that is gone is no
 * signal for us, which is why its input is a socket. */
static void feed(process *p, const dsm_buf *script, size_t *sent)
{
    ssize_t n = send(p->ours[TO_CHILD], script->data + *sent, script->len - *sent, MSG_NOSIGNAL);
    if (n > 0) *sent += (size_t)n;
    bool gone = n < 0 && errno != EAGAIN && errno != EINTR;
    if (*sent == script->len || gone) close_end(&p->ours[TO_CHILD]);
}

static void drain(int *fd, dsm_buf *into)
{
    char chunk[1 << 16];
    ssize_t n = read(*fd, chunk, sizeof chunk);
    if (n > 0) dsm_buf_add(into, chunk, (size_t)n);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) close_end(fd);
}

static dsm_status converse(process *p, const dsm_buf *script, dsm_buf *svg, dsm_buf *complaint,
                           double timeout_s, dsm_err *err)
{
    const double end = dsm_clock() + timeout_s;
    size_t sent = 0;
    while (p->ours[FROM_OUT] >= 0 || p->ours[FROM_ERR] >= 0) {
        double left = end - dsm_clock();
        if (left <= 0)
            return dsm_fail(err, DSM_ELIMIT, "gnuplot: took longer than %.0f s", timeout_s);
        if (svg->len > MAX_SVG || complaint->len > MAX_COMPLAINT)
            return dsm_fail(err, DSM_ELIMIT, "gnuplot: wrote more than expected");
        struct pollfd fds[N_PIPES];
        for (int i = 0; i < N_PIPES; i++)
            fds[i] = (struct pollfd){p->ours[i], i == TO_CHILD ? POLLOUT : POLLIN, 0};
        if (poll(fds, N_PIPES, (int)(left * 1000) + 1) <= 0) continue;
        if (fds[TO_CHILD].revents) feed(p, script, &sent);
        if (fds[FROM_OUT].revents) drain(&p->ours[FROM_OUT], svg);
        if (fds[FROM_ERR].revents) drain(&p->ours[FROM_ERR], complaint);
    }
    return DSM_OK;
}

/* --- ending ----------------------------------------------------------------------------------- */

/* The last line of its complaint says what, after a copy of the place. */
static const char *last_line(dsm_buf *complaint)
{
    while (complaint->len > 0 && strchr(" \n", complaint->data[complaint->len - 1]))
        complaint->data[--complaint->len] = '\0';
    if (complaint->len == 0) return "failed without a word";
    const char *end = strrchr(complaint->data, '\n');
    return end ? end + 1 : complaint->data;
}

static dsm_status judge(int ended, dsm_buf *complaint, dsm_err *err)
{
    if (WIFEXITED(ended) && WEXITSTATUS(ended) == 0) return DSM_OK;
    return dsm_fail(err, DSM_EIO, "gnuplot: %.200s", last_line(complaint));
}

dsm_status dsm_gnuplot_run(dsm_buf *svg, const char *program, const dsm_buf *script,
                           double timeout_s, dsm_err *err)
{
    DSM_TRY(dsm_buf_check(script, "gnuplot script", err));
    process p = {0};
    dsm_buf complaint = {0};
    int ended = 0;
    dsm_status status = make_pipes(&p, err);
    if (status == DSM_OK) status = spawn(&p, program, err);
    if (status == DSM_OK) status = converse(&p, script, svg, &complaint, timeout_s, err);
    if (p.pid > 0 && status != DSM_OK) kill(p.pid, SIGKILL);
    close_all(p.ours);
    close_all(p.theirs);
    if (p.pid > 0)
        while (waitpid(p.pid, &ended, 0) < 0 && errno == EINTR)
            ;
    if (status == DSM_OK) status = judge(ended, &complaint, err);
    if (status == DSM_OK) status = dsm_buf_check(svg, "plot", err);
    dsm_buf_free(&complaint);
    return status;
}

void dsm_gnuplot_string(dsm_buf *script, const char *s)
{
    dsm_buf whole = {0};
    dsm_utf8_repair(&whole, s, strlen(s));
    dsm_buf_str(script, "'");
    for (size_t i = 0; i < whole.len; i++) {
        char c = whole.data[i];
        if ((unsigned char)c < 0x20 || c == 0x7F) c = ' ';
        dsm_buf_add(script, &c, 1);
        if (c == '\'') dsm_buf_add(script, &c, 1);
    }
    dsm_buf_str(script, "'");
    dsm_buf_free(&whole);
}

/* SPDX-License-Identifier: MIT */
#include "experiment/child.h"

#include "core/clock.h"
#include "core/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CANNOT_START = 127, MAX_LINE = 1 << 26 }; /* bytes of a line: analyses are long */

/* --- starting --------------------------------------------------------------------------------- */

/* In the child: only what is safe after fork. */
static void become(char *const argv[], int out, int log, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(CANNOT_START); /* it died before the line above */
    int nothing = open("/dev/null", O_RDONLY);
    if (nothing < 0 || dup2(nothing, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
        dup2(log, STDERR_FILENO) < 0)
        _exit(CANNOT_START);
    execv(argv[0], argv);
    _exit(CANNOT_START);
}

static dsm_status open_log(int *log, const char *path, dsm_err *err)
{
    *log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    return *log < 0 ? dsm_fail_errno(err, path, "open") : DSM_OK;
}

static dsm_status open_pipe(int ends[2], dsm_err *err)
{
    if (pipe(ends) < 0) return dsm_fail_errno(err, "pipe", "make");
    for (int i = 0; i < 2; i++)
        fcntl(ends[i], F_SETFD, FD_CLOEXEC);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    return DSM_OK;
}

dsm_status dsm_child_start(dsm_child *c, char *const argv[], const char *log_path, dsm_err *err)
{
    int log, ends[2];
    pid_t parent = getpid();
    *c = (dsm_child){.out = -1};
    DSM_TRY(open_log(&log, log_path, err));
    dsm_status status = open_pipe(ends, err);
    if (status != DSM_OK) {
        close(log);
        return status;
    }
    pid_t pid = fork();
    if (pid == 0) become(argv, ends[1], log, parent);
    if (pid < 0) status = dsm_fail_errno(err, argv[0], "start");
    close(log);
    close(ends[1]);
    if (pid > 0)
        *c = (dsm_child){.pid = pid, .out = ends[0], .started = dsm_clock()};
    else
        close(ends[0]);
    return status;
}

/* --- hearing ---------------------------------------------------------------------------------- */

static dsm_status take_lines(dsm_child *c, const char *text, size_t n,
                             void (*fn)(void *arg, const char *line), void *arg, dsm_err *err)
{
    while (n > 0) {
        const char *end = memchr(text, '\n', n);
        size_t length = end ? (size_t)(end - text) : n;
        dsm_buf_add(&c->line, text, length);
        DSM_TRY(dsm_buf_check(&c->line, "output of a job", err));
        if (c->line.len > MAX_LINE)
            return dsm_fail(err, DSM_ELIMIT, "output of a job: a line beyond %d bytes", MAX_LINE);
        if (!end) return DSM_OK;
        fn(arg, c->line.data ? c->line.data : "");
        dsm_buf_clear(&c->line);
        text = end + 1;
        n -= length + 1;
    }
    return DSM_OK;
}

dsm_status dsm_child_read(dsm_child *c, void (*fn)(void *arg, const char *line), void *arg,
                          bool *ended, dsm_err *err)
{
    char chunk[4096];
    *ended = false;
    for (;;) {
        ssize_t n = read(c->out, chunk, sizeof chunk);
        if (n > 0) {
            DSM_TRY(take_lines(c, chunk, (size_t)n, fn, arg, err));
        } else if (n == 0) {
            *ended = true;
            return DSM_OK;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return DSM_OK;
        } else if (errno != EINTR) {
            return dsm_fail_errno(err, "output of a job", "read");
        }
    }
}

/* --- ending ----------------------------------------------------------------------------------- */

static double seconds_of(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec * 1e-6;
}

/* Processor time of all children that have been waited for. */
static double children_cpu(void)
{
    struct rusage used;
    return getrusage(RUSAGE_CHILDREN, &used) == 0
               ? seconds_of(used.ru_utime) + seconds_of(used.ru_stime)
               : 0.0;
}

dsm_status dsm_child_wait(dsm_child *c, dsm_err *err)
{
    int status;
    double before = children_cpu();
    while (waitpid(c->pid, &status, 0) < 0)
        if (errno != EINTR) return dsm_fail_errno(err, "a job", "wait for");
    c->pid = 0;
    c->seconds = dsm_clock() - c->started;
    c->cpu_s = children_cpu() - before;
    c->ok = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == CANNOT_START)
        snprintf(c->how, sizeof c->how, "could not be started");
    else if (WIFEXITED(status))
        snprintf(c->how, sizeof c->how, "exit %d", WEXITSTATUS(status));
    else
        snprintf(c->how, sizeof c->how, "killed by signal %d", WTERMSIG(status));
    return DSM_OK;
}

void dsm_child_stop(const dsm_child *c)
{
    if (c->pid > 0) kill(c->pid, SIGTERM);
}

void dsm_child_close(dsm_child *c)
{
    if (c->pid > 0) {
        kill(c->pid, SIGKILL);
        (void)dsm_child_wait(c, NULL);
    }
    if (c->out > 0) close(c->out);
    dsm_buf_free(&c->line);
    memset(c, 0, sizeof *c);
}

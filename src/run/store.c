/* SPDX-License-Identifier: MIT */
/* The run store; see store.h.
 *
 * A write-ahead log with synchronous=NORMAL: a commit does not wait for the disk, yet neither a
 * kill nor a power cut damages the file. Every statement is one row of `statements`, prepared at
 * open. */
#include "run/store.h"

#include <errno.h>
#include <math.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* "dsmo": SQLite's application id, so that no other database is taken for a run's. */
enum { APPLICATION_ID = 0x64736d6f };

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS metrics (step INTEGER, key TEXT, value REAL,"
    " PRIMARY KEY (step, key)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS expert_load (step INTEGER, layer INTEGER, expert INTEGER,"
    " tokens INTEGER, PRIMARY KEY (step, layer, expert)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS evals (step INTEGER, name TEXT, metric TEXT, value REAL,"
    " PRIMARY KEY (step, name, metric)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS samples (step INTEGER, prompt TEXT, text TEXT,"
    " PRIMARY KEY (step, prompt)) WITHOUT ROWID;"
    "PRAGMA application_id=1685286255;";
_Static_assert(APPLICATION_ID == 1685286255, "the number in the schema");

static const char *const tables[] = {"metrics", "expert_load", "evals", "samples"};
enum { N_TABLES = sizeof tables / sizeof *tables };

enum { BEGIN, COMMIT, METRIC, LOAD, EVAL, SAMPLE, GET, GET_EVAL, MEAN, N_STATEMENTS };
static const char *const statements[N_STATEMENTS] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [METRIC] = "INSERT OR REPLACE INTO metrics VALUES (?, ?, ?)",
    [LOAD] = "INSERT OR REPLACE INTO expert_load VALUES (?, ?, ?, ?)",
    [EVAL] = "INSERT OR REPLACE INTO evals VALUES (?, ?, ?, ?)",
    [SAMPLE] = "INSERT OR REPLACE INTO samples VALUES (?, ?, ?)",
    [GET] = "SELECT value FROM metrics WHERE step = ? AND key = ?",
    [GET_EVAL] = "SELECT value FROM evals WHERE step = ? AND name = ? AND metric = ?",
    [MEAN] = "SELECT avg(value) FROM metrics WHERE step > ? AND key = ?",
};

struct dsm_store {
    sqlite3 *db;
    char *path;
    sqlite3_stmt *statement[N_STATEMENTS];
};

static dsm_status failed(const dsm_store *s, dsm_err *err)
{
    int code = s->db ? sqlite3_errcode(s->db) : SQLITE_NOMEM;
    dsm_status status = code == SQLITE_NOTADB || code == SQLITE_CORRUPT ? DSM_EFORMAT
                        : code == SQLITE_BUSY                           ? DSM_EBUSY
                        : code == SQLITE_NOMEM                          ? DSM_ENOMEM
                                                                        : DSM_EIO;
    return dsm_fail(err, status, "%s: %s", s->path ? s->path : "run store",
                    s->db ? sqlite3_errmsg(s->db) : "out of memory");
}

static dsm_status execute(dsm_store *s, const char *sql, dsm_err *err)
{
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? DSM_OK : failed(s, err);
}

/* --- opening ---------------------------------------------------------------------------------- */

static dsm_status read_number(dsm_store *s, const char *sql, int64_t *out, dsm_err *err)
{
    sqlite3_stmt *q;
    if (sqlite3_prepare_v2(s->db, sql, -1, &q, NULL) != SQLITE_OK) return failed(s, err);
    bool ok = sqlite3_step(q) == SQLITE_ROW;
    *out = ok ? sqlite3_column_int64(q, 0) : 0;
    dsm_status status = ok ? DSM_OK : failed(s, err);
    sqlite3_finalize(q);
    return status;
}

/* An empty file, or one that a run wrote. */
static dsm_status check_ours(dsm_store *s, dsm_err *err)
{
    int64_t id, n_tables;
    DSM_TRY(read_number(s, "PRAGMA application_id", &id, err));
    DSM_TRY(read_number(s, "SELECT count(*) FROM sqlite_master", &n_tables, err));
    if (id == APPLICATION_ID || n_tables == 0) return DSM_OK;
    return dsm_fail(err, DSM_EFORMAT, "%s: found a database of another program, expected a run's",
                    s->path);
}

static dsm_status prepare(dsm_store *s, dsm_err *err)
{
    for (int i = 0; i < N_STATEMENTS; i++)
        if (sqlite3_prepare_v3(s->db, statements[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &s->statement[i], NULL) != SQLITE_OK)
            return failed(s, err);
    return DSM_OK;
}

static dsm_status connect_to(dsm_store *s, const char *path, int flags, dsm_err *err)
{
    s->path = strdup(path);
    if (!s->path) return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", path);
    if (sqlite3_open_v2(path, &s->db, flags, NULL) != SQLITE_OK) return failed(s, err);
    sqlite3_busy_timeout(s->db, 5000); /* milliseconds: a reader may hold it */
    return check_ours(s, err);
}

static dsm_status set_up(dsm_store *s, const char *path, dsm_err *err)
{
    DSM_TRY(connect_to(s, path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, err));
    DSM_TRY(execute(s, "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;", err));
    DSM_TRY(execute(s, schema, err));
    return prepare(s, err);
}

/* Statements are prepared, those that write too: that fails for a file without our tables. */
static dsm_status set_up_reading(dsm_store *s, const char *path, dsm_err *err)
{
    if (access(path, F_OK) != 0)
        return dsm_fail(err, DSM_ENOTFOUND, "%s: cannot open: %s", path, strerror(errno));
    DSM_TRY(connect_to(s, path, SQLITE_OPEN_READONLY, err));
    return prepare(s, err);
}

typedef dsm_status (*set_up_fn)(dsm_store *s, const char *path, dsm_err *err);

static dsm_status open_with(set_up_fn fn, dsm_store **out, const char *path, dsm_err *err)
{
    *out = NULL;
    dsm_store *s = calloc(1, sizeof *s);
    if (!s) return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", path);
    dsm_status status = fn(s, path, err);
    if (status == DSM_OK)
        *out = s;
    else
        dsm_store_close(s);
    return status;
}

dsm_status dsm_store_open(dsm_store **out, const char *path, dsm_err *err)
{
    return open_with(set_up, out, path, err);
}

dsm_status dsm_store_open_read(dsm_store **out, const char *path, dsm_err *err)
{
    return open_with(set_up_reading, out, path, err);
}

void dsm_store_close(dsm_store *s)
{
    if (!s) return;
    for (int i = 0; i < N_STATEMENTS; i++)
        sqlite3_finalize(s->statement[i]);
    sqlite3_close(s->db);
    free(s->path);
    free(s);
}

/* --- writing ---------------------------------------------------------------------------------- */

/* Run a statement that returns no row, and forget its values. */
static dsm_status run(dsm_store *s, int which, dsm_err *err)
{
    sqlite3_stmt *q = s->statement[which];
    bool ok = sqlite3_step(q) == SQLITE_DONE;
    dsm_status status = ok ? DSM_OK : failed(s, err);
    sqlite3_reset(q);
    sqlite3_clear_bindings(q);
    return status;
}

static void bind_text(sqlite3_stmt *q, int i, const char *text)
{
    sqlite3_bind_text(q, i, text, -1, SQLITE_STATIC);
}

static void bind_real(sqlite3_stmt *q, int i, double value)
{
    if (isfinite(value))
        sqlite3_bind_double(q, i, value);
    else
        sqlite3_bind_null(q, i);
}

dsm_status dsm_store_begin(dsm_store *s, dsm_err *err)
{
    return run(s, BEGIN, err);
}

dsm_status dsm_store_commit(dsm_store *s, dsm_err *err)
{
    return run(s, COMMIT, err);
}

dsm_status dsm_store_metric(dsm_store *s, int64_t step, const char *key, double value, dsm_err *err)
{
    sqlite3_stmt *q = s->statement[METRIC];
    sqlite3_bind_int64(q, 1, step);
    bind_text(q, 2, key);
    bind_real(q, 3, value);
    return run(s, METRIC, err);
}

dsm_status dsm_store_load(dsm_store *s, int64_t step, int64_t layer, int64_t expert, int64_t tokens,
                          dsm_err *err)
{
    sqlite3_stmt *q = s->statement[LOAD];
    const int64_t row[] = {step, layer, expert, tokens};
    for (int i = 0; i < 4; i++)
        sqlite3_bind_int64(q, i + 1, row[i]);
    return run(s, LOAD, err);
}

dsm_status dsm_store_eval(dsm_store *s, int64_t step, const char *name, const char *metric,
                          double value, dsm_err *err)
{
    sqlite3_stmt *q = s->statement[EVAL];
    sqlite3_bind_int64(q, 1, step);
    bind_text(q, 2, name);
    bind_text(q, 3, metric);
    bind_real(q, 4, value);
    return run(s, EVAL, err);
}

dsm_status dsm_store_sample(dsm_store *s, int64_t step, const char *prompt, const char *text,
                            dsm_err *err)
{
    sqlite3_stmt *q = s->statement[SAMPLE];
    sqlite3_bind_int64(q, 1, step);
    bind_text(q, 2, prompt);
    bind_text(q, 3, text);
    return run(s, SAMPLE, err);
}

dsm_status dsm_store_truncate(dsm_store *s, int64_t step, dsm_err *err)
{
    DSM_TRY(dsm_store_begin(s, err));
    for (int i = 0; i < N_TABLES; i++) {
        char sql[96];
        sqlite3_snprintf(sizeof sql, sql, "DELETE FROM %s WHERE step > %lld", tables[i],
                         (long long)step);
        DSM_TRY(execute(s, sql, err));
    }
    return dsm_store_commit(s, err);
}

/* --- reading ---------------------------------------------------------------------------------- */

/* The number of a query whose values are bound: its first row's, if it has one. */
static dsm_status ask(dsm_store *s, int which, bool *found, double *value, dsm_err *err)
{
    sqlite3_stmt *q = s->statement[which];
    int code = sqlite3_step(q);
    *found = code == SQLITE_ROW && sqlite3_column_type(q, 0) != SQLITE_NULL;
    *value = *found ? sqlite3_column_double(q, 0) : 0.0;
    dsm_status status = code == SQLITE_ROW || code == SQLITE_DONE ? DSM_OK : failed(s, err);
    sqlite3_reset(q);
    sqlite3_clear_bindings(q);
    return status;
}

dsm_status dsm_store_get(dsm_store *s, int64_t step, const char *key, bool *found, double *value,
                         dsm_err *err)
{
    sqlite3_bind_int64(s->statement[GET], 1, step);
    bind_text(s->statement[GET], 2, key);
    return ask(s, GET, found, value, err);
}

dsm_status dsm_store_get_eval(dsm_store *s, int64_t step, const char *name, const char *metric,
                              bool *found, double *value, dsm_err *err)
{
    sqlite3_bind_int64(s->statement[GET_EVAL], 1, step);
    bind_text(s->statement[GET_EVAL], 2, name);
    bind_text(s->statement[GET_EVAL], 3, metric);
    return ask(s, GET_EVAL, found, value, err);
}

dsm_status dsm_store_mean(dsm_store *s, int64_t step, const char *key, bool *found, double *value,
                          dsm_err *err)
{
    sqlite3_bind_int64(s->statement[MEAN], 1, step);
    bind_text(s->statement[MEAN], 2, key);
    return ask(s, MEAN, found, value, err);
}

dsm_status dsm_store_last_step(dsm_store *s, int64_t *step, dsm_err *err)
{
    return read_number(s, "SELECT coalesce(max(step), 0) FROM metrics", step, err);
}

dsm_status dsm_store_count(dsm_store *s, const char *table, int64_t *rows, dsm_err *err)
{
    for (int i = 0; i < N_TABLES; i++) {
        if (strcmp(table, tables[i]) != 0) continue;
        char sql[64];
        sqlite3_snprintf(sizeof sql, sql, "SELECT count(*) FROM %s", table);
        return read_number(s, sql, rows, err);
    }
    return dsm_fail(err, DSM_EUSAGE, "run store: no table %s", table);
}

/* --- reading everything ----------------------------------------------------------------------- */

/* Who hears of rows: one of the three. */
typedef struct listener {
    void *arg;
    dsm_store_point_fn point;
    dsm_store_load_fn load;
    dsm_store_sample_fn sample;
} listener;

static double real_or_nan(sqlite3_stmt *q, int column)
{
    return sqlite3_column_type(q, column) == SQLITE_NULL ? (double)NAN
                                                         : sqlite3_column_double(q, column);
}

static const char *text_or_empty(sqlite3_stmt *q, int column)
{
    const unsigned char *text = sqlite3_column_text(q, column);
    return text ? (const char *)text : "";
}

static void tell(const listener *l, sqlite3_stmt *q)
{
    int64_t step = sqlite3_column_int64(q, 0);
    if (l->point) l->point(l->arg, step, real_or_nan(q, 1));
    if (l->load)
        l->load(l->arg, step, sqlite3_column_int64(q, 1), sqlite3_column_int64(q, 2),
                sqlite3_column_int64(q, 3));
    if (l->sample) l->sample(l->arg, step, text_or_empty(q, 1), text_or_empty(q, 2));
}

/* All rows of a query with up to two texts for its question marks. */
static dsm_status each(dsm_store *s, const char *sql, const char *a, const char *b,
                       const listener *l, dsm_err *err)
{
    sqlite3_stmt *q;
    int code;
    if (sqlite3_prepare_v2(s->db, sql, -1, &q, NULL) != SQLITE_OK) return failed(s, err);
    if (a) bind_text(q, 1, a);
    if (b) bind_text(q, 2, b);
    while ((code = sqlite3_step(q)) == SQLITE_ROW)
        tell(l, q);
    dsm_status status = code == SQLITE_DONE ? DSM_OK : failed(s, err);
    sqlite3_finalize(q);
    return status;
}

dsm_status dsm_store_each_metric(dsm_store *s, const char *key, dsm_store_point_fn fn, void *arg,
                                 dsm_err *err)
{
    const listener l = {.arg = arg, .point = fn};
    return each(s, "SELECT step, value FROM metrics WHERE key = ? ORDER BY step", key, NULL, &l,
                err);
}

dsm_status dsm_store_each_eval(dsm_store *s, const char *name, const char *metric,
                               dsm_store_point_fn fn, void *arg, dsm_err *err)
{
    const listener l = {.arg = arg, .point = fn};
    return each(s, "SELECT step, value FROM evals WHERE name = ? AND metric = ? ORDER BY step",
                name, metric, &l, err);
}

dsm_status dsm_store_each_load(dsm_store *s, dsm_store_load_fn fn, void *arg, dsm_err *err)
{
    const listener l = {.arg = arg, .load = fn};
    return each(s, "SELECT step, layer, expert, tokens FROM expert_load ORDER BY 1, 2, 3", NULL,
                NULL, &l, err);
}

dsm_status dsm_store_each_sample(dsm_store *s, dsm_store_sample_fn fn, void *arg, dsm_err *err)
{
    const listener l = {.arg = arg, .sample = fn};
    return each(s, "SELECT step, prompt, text FROM samples ORDER BY step, prompt", NULL, NULL, &l,
                err);
}

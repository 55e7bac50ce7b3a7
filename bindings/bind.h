/* What every binding shares: new userdata, results, and the reading of fields with errors that name them.
 *
 * Rules
 *   - A userdata is made first, empty and with its metatable, and filled by the core afterwards: whatever fails then,
 *     nothing leaks. Its __gc and __close are the same idempotent function.
 *   - Wrong arguments raise; the world's failures return nil, message, code.
 *   - Tables that describe something are read raw, so that no metamethod runs between a check and its use.
 *   - Memory that outlives a call that may raise is a userdata on the stack, never malloc's. */
#ifndef RTL_BIND_H
#define RTL_BIND_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rt.h"

/* The entry points are all that rtlua.so shows. */
#define RTL_OPEN __attribute__((visibility("default"))) int

/* Names of the metatables, which are also what `type` errors call a value. */
#define RTL_IMAGE "rtlua.image"
#define RTL_MESH "rtlua.mesh"
#define RTL_PLACEMENTS "rtlua.placements"
#define RTL_SCENE "rtlua.scene"
#define RTL_JOB "rtlua.job"
#define RTL_PROCESS "rtlua.process"
#define RTL_PIPE "rtlua.pipe"
#define RTL_JOURNAL "rtlua.journal"
#define RTL_LOCK "rtlua.lock"
#define RTL_FILM "rtlua.film"

typedef struct {
  rt_image *image; /* NULL: closed */
  bool frozen;     /* a scene reads it, perhaps on other threads: it may not be changed any more */
} rtl_image;
typedef struct {
  rt_mesh *mesh; /* NULL: closed */
} rtl_mesh;
typedef struct {
  rt_placements *placements; /* NULL: closed */
} rtl_placements;
typedef struct {
  rt_scene *scene; /* NULL: closed */
  bool committed;
} rtl_scene;

/* ---- Userdata and results ---- */

/* A zeroed userdata of a class that rtl_class made, on top of the stack. */
void *rtl_new(lua_State *L, size_t size, const char *class_name, int user_values);
/* Makes the class once per state: `methods` are found by indexing, `metamethods` go into the metatable. When methods
 * is NULL the class brings its own __index. Scripts cannot reach the metatable. */
void rtl_class(lua_State *L, const char *class_name, const luaL_Reg *methods, const luaL_Reg *metamethods);

rtl_image *rtl_new_image(lua_State *L); /* empty; makes the class where it is not there yet */
rtl_mesh *rtl_new_mesh(lua_State *L);
rtl_placements *rtl_new_placements(lua_State *L);
rtl_scene *rtl_new_scene(lua_State *L);
/* A field that is a film of rtlua.core.film or nil, pushed: its handle, or NULL. Raises where it is closed. */
rt_film **rtl_push_film(lua_State *L, int t, const char *what);
/* Pushes an AOV's picture, or nil, message, code; the AOV's name is at `index`, and none or nil is the picture itself. */
int rtl_push_picture(lua_State *L, int index, const void *source,
                     rt_status (*picture)(const void *source, rt_aov aov, rt_image **out, rt_error *err));
uint32_t rtl_aovs(lua_State *L, int t, const char *what); /* a list of their names, as bits; absent: none */
int rtl_start_job(lua_State *L);                          /* job.c; scene:start */
rt_image *rtl_check_image(lua_State *L, int index);       /* raises when it is closed or something else */

/* On RT_OK the `n` values on top of the stack; else nil, message, code. */
int rtl_result(lua_State *L, rt_status status, const rt_error *err, int n);
/* nil, message, code, by lua_pushfstring's rules. */
int rtl_failure(lua_State *L, rt_status code, const char *format, ...);

/* ---- Values ---- */

/* Raises "WHAT: EXPECTED expected, got TYPE" for the value on top of the stack. */
_Noreturn void rtl_expected(lua_State *L, const char *what, const char *expected);
/* A table, or a message that names it. */
void rtl_check_table(lua_State *L, int index, const char *what);

/* Fields of the table at `t`, an absolute index. `what` is the field's name in the table and in errors. */
double rtl_number(lua_State *L, int t, const char *what);
double rtl_number_or(lua_State *L, int t, const char *what, double otherwise);
lua_Integer rtl_integer_or(lua_State *L, int t, const char *what, lua_Integer low, lua_Integer high,
                           lua_Integer otherwise);
bool rtl_boolean(lua_State *L, int t, const char *what); /* absent: false */
uint32_t rtl_id(lua_State *L, int t, const char *what);  /* absent: RT_NONE */
int rtl_option(lua_State *L, int t, const char *what, const char *const names[], const char *otherwise);
rt_vec3 rtl_vec3(lua_State *L, int t, const char *what); /* {x, y, z}, or a table with fields x, y and z */
rt_vec3 rtl_vec3_or(lua_State *L, int t, const char *what, rt_vec3 otherwise);
void rtl_numbers(lua_State *L, int t, const char *what, double *out, int n); /* a list of n numbers */
/* Pushes the field, which is a string or nil. NULL when nil. The pointer lives as long as the stack slot. */
const char *rtl_push_string(lua_State *L, int t, const char *what);
/* Pushes the field and returns its block when it is a userdata of the class; raises else. */
void *rtl_push_userdata(lua_State *L, int t, const char *what, const char *class_name);

rt_vec3 rtl_to_vec3(lua_State *L, int index, const char *what);
void rtl_set_vec3(lua_State *L, const char *name, rt_vec3 v); /* top[name] = {x, y, z} */
void rtl_set_number(lua_State *L, const char *name, double v);
void rtl_set_integer(lua_State *L, const char *name, lua_Integer v);

/* ---- What a sandboxed state may do (sandbox.c) ---- */

/* 0, or the three values of a refusal are on the stack: the sandbox may not read this file. Always 0 outside of a
 * sandbox. */
int rtl_refuse_reading(lua_State *L, const char *path);
int rtl_refuse_writing(lua_State *L, const char *path);

#endif

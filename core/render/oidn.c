/* Intel's Open Image Denoise, loaded at run time where it is there: libOpenImageDenoise.so.2, else .so.1. Of its C
 * interface what both have; the two parameters are set by functions that version 2 renamed.
 *
 * It runs on the processor: the filter reads and writes our memory. */
#include <dlfcn.h>
#include <stddef.h>

#include "base/error.h"
#include "base/memory.h"
#include "rt.h"

#define DEVICE_CPU 1
#define FORMAT_FLOAT3 3

typedef struct device device;
typedef struct image_filter image_filter;

typedef struct {
  void *library;
  device *(*new_device)(int type);
  void (*set_device_int)(device *, const char *name, int value);
  void (*commit_device)(device *);
  int (*get_device_error)(device *, const char **message);
  void (*release_device)(device *);
  image_filter *(*new_filter)(device *, const char *type);
  void (*set_image)(image_filter *, const char *name, void *data, int format, size_t width, size_t height,
                    size_t offset, size_t pixel_stride, size_t row_stride);
  void (*set_filter_bool)(image_filter *, const char *name, bool value);
  void (*commit_filter)(image_filter *);
  void (*execute_filter)(image_filter *);
  void (*release_filter)(image_filter *);
} oidn;

static void unload(oidn *api) {
  if (api && api->library) dlclose(api->library);
  rt_free(api);
}

/* What is to be unloaded, if anything, comes back on failure too. */
static rt_status load(oidn **out, rt_error *err) {
  static const char *const names[] = {"libOpenImageDenoise.so.2", "libOpenImageDenoise.so.1"};
  oidn *api = *out = rt_alloc(1, sizeof *api, err);
  if (!api) return RT_NO_MEMORY;
  for (size_t i = 0; i < sizeof names / sizeof *names && !api->library; i++)
    api->library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
  if (!api->library)
    return rt_fail(err, RT_UNAVAILABLE,
                   "denoise: libOpenImageDenoise.so.2 (or .so.1) cannot be loaded: install Open Image Denoise "
                   "(openimagedenoise.org) and name its folder in LD_LIBRARY_PATH, or use --denoise builtin");
  const struct {
    void **function;
    const char *name, *before; /* its name in version 1, where that was another */
  } functions[] = {
      {(void **)&api->new_device, "oidnNewDevice", NULL},
      {(void **)&api->set_device_int, "oidnSetDeviceInt", "oidnSetDevice1i"},
      {(void **)&api->commit_device, "oidnCommitDevice", NULL},
      {(void **)&api->get_device_error, "oidnGetDeviceError", NULL},
      {(void **)&api->release_device, "oidnReleaseDevice", NULL},
      {(void **)&api->new_filter, "oidnNewFilter", NULL},
      {(void **)&api->set_image, "oidnSetSharedFilterImage", NULL},
      {(void **)&api->set_filter_bool, "oidnSetFilterBool", "oidnSetFilter1b"},
      {(void **)&api->commit_filter, "oidnCommitFilter", NULL},
      {(void **)&api->execute_filter, "oidnExecuteFilter", NULL},
      {(void **)&api->release_filter, "oidnReleaseFilter", NULL},
  };
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    *functions[i].function = dlsym(api->library, functions[i].name);
    if (!*functions[i].function && functions[i].before)
      *functions[i].function = dlsym(api->library, functions[i].before);
    if (!*functions[i].function)
      return rt_fail(err, RT_UNAVAILABLE,
                     "denoise: libOpenImageDenoise has no function %s: install version 1 or 2 of it, or use --denoise "
                     "builtin",
                     functions[i].name);
  }
  return RT_OK;
}

static void set_image(const oidn *api, image_filter *f, const char *name, const rt_image *image, const void *pixels) {
  size_t width = (size_t)rt_image_width(image), pixel = (size_t)rt_image_channels(image) * sizeof(float);
  api->set_image(f, name, (void *)pixels, FORMAT_FLOAT3, width, (size_t)rt_image_height(image), 0, pixel,
                 width * pixel);
}

static rt_status check_device(const oidn *api, device *d, rt_error *err) {
  const char *message = NULL;
  if (api->get_device_error(d, &message) == 0) return RT_OK;
  return rt_fail(err, RT_UNAVAILABLE, "denoise: Open Image Denoise: %s: use --denoise builtin",
                 message ? message : "an unknown error");
}

static rt_status execute(const oidn *api, device *d, rt_image *out, const rt_denoise_input *in, int threads,
                         rt_error *err) {
  api->set_device_int(d, "numThreads", threads);
  api->commit_device(d);
  rt_status status = check_device(api, d, err);
  image_filter *f = status == RT_OK ? api->new_filter(d, "RT") : NULL;
  if (!f) return status == RT_OK ? check_device(api, d, err) : status;
  set_image(api, f, "color", in->colour, rt_image_view(in->colour));
  set_image(api, f, "albedo", in->albedo, rt_image_view(in->albedo));
  set_image(api, f, "normal", in->normal, rt_image_view(in->normal));
  set_image(api, f, "output", out, rt_image_pixels(out));
  api->set_filter_bool(f, "hdr", true);
  api->commit_filter(f);
  api->execute_filter(f);
  status = check_device(api, d, err);
  api->release_filter(f);
  return status;
}

rt_status rt_find_oidn(rt_error *err) {
  oidn *api = NULL;
  rt_status status = load(&api, err);
  unload(api);
  return status;
}

rt_status rt_denoise_oidn(rt_image **out, const rt_denoise_input *in, int threads, rt_error *err) {
  oidn *api = NULL;
  rt_image *image = NULL;
  rt_status status = load(&api, err);
  if (status == RT_OK) status = rt_image_copy(&image, in->colour, err);
  if (status == RT_OK) {
    device *d = api->new_device(DEVICE_CPU);
    if (d) {
      status = execute(api, d, image, in, threads, err);
      api->release_device(d);
    } else {
      status = rt_fail(err, RT_UNAVAILABLE,
                       "denoise: Open Image Denoise does not run on this processor: use --denoise builtin");
    }
  }
  unload(api);
  if (status == RT_OK)
    *out = image;
  else
    rt_image_free(image);
  return status;
}

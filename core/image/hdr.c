/* Radiance's RGBE pictures: three mantissas and a shared exponent, rows plain or run-length encoded. Ward 1991,
 * "Real Pixels" (Graphics Gems II); the file format is Radiance's own, filefmts.pdf.
 *
 * A header of lines "NAME=VALUE" ends with an empty line; a line such as "-Y 512 +X 1024" gives the order of the
 * pixels. A row is, by its first bytes, new RLE (each of the four bytes of the pixels for itself), or plain pixels
 * among which (1, 1, 1, n) repeats the one before. EXPOSURE and COLORCORR were multiplied into the pixels and are
 * divided out, so that values are radiances.
 *
 * Rows are walked once before memory is taken for the picture: a header cannot claim more than the file holds. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "image/image.h"

/* Rows outside of these widths are never new RLE. */
#define MIN_RLE_WIDTH 8
#define MAX_RLE_WIDTH 32767
/* The exponent byte of mantissas in 1/256. */
#define EXPONENT_BIAS 136
/* EXPOSURE and COLORCORR together: far outside of what a picture is exposed by, and far inside of float. */
#define MIN_FACTOR 1e-20

typedef struct {
  uint64_t width, height;
  bool columns;        /* "scanlines" are columns of the picture */
  bool flip_x, flip_y; /* x goes to the left, y upwards */
  double divide[3];    /* what was multiplied into the pixels */
} header;

/* The next line of the header as [*line, *line + *length), without its end. */
static bool next_line(rt_bytes *rest, const char **line, size_t *length) {
  const unsigned char *end = memchr(rest->data, '\n', rest->size);
  if (!end) return false;
  *line = (const char *)rest->data;
  *length = (size_t)(end - rest->data);
  rest->size -= *length + 1;
  rest->data = end + 1;
  if (*length > 0 && (*line)[*length - 1] == '\r') (*length)--;
  return true;
}

/* The value of "NAME=VALUE", or NULL when the line is another one. Blanks around the value are left out. */
static const char *value_of(const char *line, size_t length, const char *name, size_t *value_length) {
  size_t n = strlen(name);
  if (length <= n || memcmp(line, name, n) != 0 || line[n] != '=') return NULL;
  const char *value = line + n + 1, *end = line + length;
  while (value < end && (*value == ' ' || *value == '\t')) value++;
  while (end > value && (end[-1] == ' ' || end[-1] == '\t')) end--;
  *value_length = (size_t)(end - value);
  return value;
}

/* Multiplies `n` numbers of the value into factor[0, 3); one number goes into all three. */
static rt_status read_factors(const char *value, int n, double factor[3], const char *path, const char *name,
                              rt_error *err) {
  for (int i = 0; i < n; i++) {
    float v;
    while (*value == ' ' || *value == '\t') value++;
    value = rt_text_float(value, &v);
    if (!value || !(v > 0.0f))
      return rt_fail(err, RT_BAD_DATA, "%s: the HDR header's %s is not a positive number: correct it", path, name);
    for (int c = 0; c < 3; c++) {
      if (n == 1 || c == i) factor[c] *= v;
      if (!(factor[c] >= MIN_FACTOR && factor[c] <= 1.0 / MIN_FACTOR))
        return rt_fail(err, RT_BAD_DATA, "%s: the HDR header's %s is beyond reason: correct it", path, name);
    }
  }
  return RT_OK;
}

/* "-Y 512 +X 1024" and its seven sisters. */
static bool read_order(const char *p, header *h) {
  uint64_t size[2];
  char axis[2], sign[2];
  for (int i = 0; i < 2; i++) {
    if (i > 0 && *p++ != ' ') return false;
    sign[i] = p[0];
    if (sign[i] != '+' && sign[i] != '-') return false;
    axis[i] = p[1];
    if ((axis[i] != 'X' && axis[i] != 'Y') || p[2] != ' ') return false;
    p = rt_text_uint(p + 3, &size[i]);
    if (!p) return false;
  }
  while (*p == ' ') p++;
  if ((*p != '\n' && *p != '\r') || axis[0] == axis[1]) return false;
  h->columns = axis[0] == 'X';
  h->width = size[h->columns ? 0 : 1];
  h->height = size[h->columns ? 1 : 0];
  h->flip_x = sign[h->columns ? 0 : 1] == '-';
  h->flip_y = sign[h->columns ? 1 : 0] == '+';
  return true;
}

static rt_status read_header(rt_bytes *rest, header *h, rt_error *err) {
  const char *line, *value;
  size_t length, n;
  *h = (header){.divide = {1.0, 1.0, 1.0}};
  for (;;) {
    if (!next_line(rest, &line, &length))
      return rt_fail(err, RT_BAD_DATA, "%s: the HDR header has no end: use another copy", rest->path);
    if (length == 0) break;
    rt_status status = RT_OK;
    if ((value = value_of(line, length, "FORMAT", &n))) {
      if (n == 15 && memcmp(value, "32-bit_rle_xyze", n) == 0)
        return rt_fail(err, RT_BAD_DATA, "%s: an HDR in XYZ colours is not read: convert it by `ra_xyze -r`",
                       rest->path);
      if (n != 15 || memcmp(value, "32-bit_rle_rgbe", n) != 0)
        return rt_fail(err, RT_BAD_DATA, "%s: the HDR has the unknown FORMAT '%.*s': 32-bit_rle_rgbe is read",
                       rest->path, n < 64 ? (int)n : 64, value);
    } else if ((value = value_of(line, length, "EXPOSURE", &n))) {
      status = read_factors(value, 1, h->divide, rest->path, "EXPOSURE", err);
    } else if ((value = value_of(line, length, "COLORCORR", &n))) {
      status = read_factors(value, 3, h->divide, rest->path, "COLORCORR", err);
    }
    if (status != RT_OK) return status;
  }
  if (!next_line(rest, &line, &length) || !read_order(line, h))
    return rt_fail(err, RT_BAD_DATA, "%s: the HDR header has no line such as '-Y 512 +X 1024'", rest->path);
  return rt_check_sides(h->width, h->height, rest->path, err);
}

/* One of the four planes of a new-RLE row: pairs (n > 128: n - 128 times a byte) and (n: so many bytes follow). */
static bool read_plane(rt_bytes *rest, unsigned char *rgbe, size_t width) {
  for (size_t x = 0; x < width;) {
    if (rest->size < 2) return false;
    size_t n = rest->data[0];
    bool run = n > 128;
    if (run) n -= 128;
    size_t bytes = run ? 1 : n;
    if (n == 0 || n > width - x || bytes > rest->size - 1) return false;
    for (size_t i = 0; i < n; i++) rgbe[4 * (x + i)] = rest->data[run ? 1 : 1 + i];
    x += n;
    rest->data += 1 + bytes;
    rest->size -= 1 + bytes;
  }
  return true;
}

/* Reads `width` pixels of four bytes; false when the data ends early or makes no sense. */
static bool read_scanline(rt_bytes *rest, unsigned char *rgbe, size_t width) {
  if (rest->size < 4) return false;
  const unsigned char *p = rest->data;
  if (width >= MIN_RLE_WIDTH && width <= MAX_RLE_WIDTH && p[0] == 2 && p[1] == 2 && p[2] < 128) {
    if ((size_t)(p[2] << 8 | p[3]) != width) return false;
    rest->data += 4;
    rest->size -= 4;
    for (int c = 0; c < 4; c++)
      if (!read_plane(rest, rgbe + c, width)) return false;
    return true;
  }
  unsigned shift = 0;
  for (size_t x = 0; x < width; rest->data += 4, rest->size -= 4) {
    if (rest->size < 4) return false;
    p = rest->data;
    if (p[0] == 1 && p[1] == 1 && p[2] == 1) {
      size_t n = shift < 24 ? (size_t)p[3] << shift : SIZE_MAX; /* runs in a row are the digits of one count */
      if (x == 0 || n > width - x) return false;
      for (; n > 0; n--, x++) memcpy(rgbe + 4 * x, rgbe + 4 * (x - 1), 4);
      shift += 8;
    } else {
      memcpy(rgbe + 4 * x++, p, 4);
      shift = 0;
    }
  }
  return true;
}

/* The rows are known to be whole. */
static void store(rt_image *image, const header *h, rt_bytes rest, unsigned char *rgbe, size_t lines, size_t length) {
  for (size_t line = 0; line < lines; line++) {
    if (!read_scanline(&rest, rgbe, length)) return;
    for (size_t i = 0; i < length; i++) {
      size_t x = h->columns ? line : i, y = h->columns ? i : line;
      if (h->flip_x) x = h->width - 1 - x;
      if (h->flip_y) y = h->height - 1 - y;
      float *pixel = image->pixels + 3 * (y * h->width + x);
      const unsigned char *p = rgbe + 4 * i;
      for (int c = 0; c < 3; c++)
        pixel[c] = p[3] == 0 ? 0.0f : (float)(ldexp(p[c], p[3] - EXPONENT_BIAS) / h->divide[c]);
    }
  }
}

rt_status rt_hdr_read(rt_image **out, rt_bytes file, rt_error *err) {
  header h;
  rt_bytes rest = file;
  rt_status status = read_header(&rest, &h, err);
  if (status != RT_OK) return status;
  size_t lines = (size_t)(h.columns ? h.width : h.height), length = (size_t)(h.columns ? h.height : h.width);
  unsigned char *rgbe = rt_alloc(length, 4, err);
  if (!rgbe) return RT_NO_MEMORY;
  rt_bytes walk = rest;
  for (size_t line = 0; status == RT_OK && line < lines; line++)
    if (!read_scanline(&walk, rgbe, length))
      status = rt_fail(err, RT_BAD_DATA, "%s: the HDR is damaged or cut short at scanline %zu of %zu: use another copy",
                       file.path, line + 1, lines);
  rt_image *image = NULL;
  if (status == RT_OK) status = rt_image_new(&image, (int)h.width, (int)h.height, 3, err);
  if (status == RT_OK) store(image, &h, rest, rgbe, lines, length);
  rt_free(rgbe);
  if (status == RT_OK)
    *out = image;
  else
    rt_image_free(image);
  return status;
}

/* ---- Writing ----------------------------------------------------------------------------------------------------- */

/* Rounded to the nearest multiple of 2^(e - 136), where 2^(e - 128) is just above the largest value; negative and
 * NaN give 0. */
static void encode(const float *pixel, int colours, unsigned char rgbe[4]) {
  const float largest = 0x1.fep126f; /* 255 * 2^(255 - 136) */
  float v[3], max = 0.0f;
  for (int c = 0; c < 3; c++) {
    float x = pixel[colours == 3 ? c : 0];
    v[c] = x > 0.0f ? x < largest ? x : largest : 0.0f;
    if (v[c] > max) max = v[c];
  }
  int e;
  (void)frexpf(max, &e);
  if (ldexp(max, 8 - e) + 0.5 >= 256.0) e++;
  memset(rgbe, 0, 4);
  if (!(max > 0.0f) || e + 128 < 1) return;
  for (int c = 0; c < 3; c++) rgbe[c] = (unsigned char)(ldexp(v[c], 8 - e) + 0.5);
  rgbe[3] = (unsigned char)(e + 128);
}

/* New RLE of one plane of a row; returns the end of what was written: at most 2 bytes for each of 1, 65/64 in the
 * mean. */
static unsigned char *write_plane(unsigned char *to, const unsigned char *rgbe, size_t width) {
  const size_t least_run = 4; /* shorter ones cost more than they save */
  for (size_t x = 0; x < width;) {
    size_t begin = x, run = 1;
    while (begin < width) { /* the next run that is worth it, at `begin` */
      for (run = 1; run < 127 && begin + run < width && rgbe[4 * (begin + run)] == rgbe[4 * begin];) run++;
      if (run >= least_run) break;
      begin += run;
    }
    if (begin > width) begin = width;
    while (x < begin) {
      size_t n = begin - x < 128 ? begin - x : 128;
      *to++ = (unsigned char)n;
      for (size_t i = 0; i < n; i++) *to++ = rgbe[4 * x++];
    }
    if (begin < width) {
      *to++ = (unsigned char)(128 + run);
      *to++ = rgbe[4 * begin];
      x += run;
    }
  }
  return to;
}

rt_status rt_hdr_write(const rt_image *image, FILE *stream, const char *path, const rt_save_options *options,
                       rt_error *err) {
  (void)options;
  size_t width = (size_t)image->width;
  bool rle = width >= MIN_RLE_WIDTH && width <= MAX_RLE_WIDTH;
  unsigned char *rgbe = rt_alloc(width, 4, err), *packed = rgbe ? rt_alloc(width * 2 + 1, 4, err) : NULL;
  if (!packed) {
    rt_free(rgbe);
    return RT_NO_MEMORY;
  }
  bool good = fprintf(stream, "#?RADIANCE\nSOFTWARE=rtlua %s\nFORMAT=32-bit_rle_rgbe\n\n-Y %d +X %d\n", RT_VERSION,
                      image->height, image->width) > 0;
  for (size_t y = 0; good && y < (size_t)image->height; y++) {
    const float *pixel = image->pixels + y * rt_image_row(image);
    for (size_t x = 0; x < width; x++, pixel += image->channels) encode(pixel, rt_image_colours(image), rgbe + 4 * x);
    unsigned char *end = packed;
    if (rle) {
      const unsigned char start[4] = {2, 2, (unsigned char)(width >> 8), (unsigned char)(width & 255)};
      memcpy(packed, start, 4);
      end += 4;
      for (int c = 0; c < 4; c++) end = write_plane(end, rgbe + c, width);
    } else {
      memcpy(packed, rgbe, 4 * width);
      end += 4 * width;
    }
    size_t n = (size_t)(end - packed);
    good = fwrite(packed, 1, n, stream) == n;
  }
  int reason = errno;
  rt_free(rgbe);
  rt_free(packed);
  return good ? RT_OK : rt_write_failed(path, reason, err);
}

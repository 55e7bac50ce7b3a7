/* PNG by libpng, both ways.
 *
 * Reading: any bit depth and colour type becomes 1 to 4 channels of linear floats; 8 and 16 bit share one table of
 * the sRGB curve. Writing: 8 or 16 bits of a display (display.c), straight alpha; an sRGB chunk and text, and
 * nothing that changes from run to run.
 *
 * libpng reports errors by longjmp. What must survive one lives in a struct, never in a local of the function that
 * called setjmp. */
#include <errno.h>
#include <png.h>
#include <string.h>

#include "base/memory.h"
#include "image/image.h"

/* No deflate stream is longer than 1032 times its file: 258 bytes from 2 bits. */
#define DEFLATE_LIMIT 1032
/* A picture that takes more than this many bytes, and more than this many times its file, is walked through before
 * memory is taken for it. */
#define TRUSTED_BYTES (UINT64_C(64) << 20)
#define TRUSTED_RATIO 128
/* For ancillary chunks, whose contents are not used. */
#define CHUNK_LIMIT (8 << 20)

typedef struct {
  png_structp png;
  png_infop info;
  char message[160];
  /* Reading. */
  rt_bytes rest;
  /* Writing. */
  FILE *stream;
  int write_errno;
  unsigned char *row;
} codec;

static void on_error(png_structp png, png_const_charp message) {
  codec *c = png_get_error_ptr(png);
  snprintf(c->message, sizeof c->message, "%s", message);
  png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp message) {
  (void)png;
  (void)message;
}

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

static void read_bytes(png_structp png, png_bytep to, size_t n) {
  codec *c = png_get_io_ptr(png);
  if (n > c->rest.size) png_error(png, "it ends early");
  memcpy(to, c->rest.data, n);
  c->rest.data += n;
  c->rest.size -= n;
}

static bool reader_open(codec *c, rt_bytes file) {
  *c = (codec){.rest = file};
  c->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, c, on_error, on_warning);
  if (!c->png) return false;
  c->info = png_create_info_struct(c->png);
  if (!c->info) return false;
  png_set_read_fn(c->png, c, read_bytes);
  png_set_user_limits(c->png, RT_MAX_SIDE, RT_MAX_SIDE);
  png_set_chunk_malloc_max(c->png, CHUNK_LIMIT);
  png_set_keep_unknown_chunks(c->png, PNG_HANDLE_CHUNK_NEVER, NULL, 0);
  return true;
}

static void reader_close(codec *c) { png_destroy_read_struct(&c->png, &c->info, NULL); }

typedef struct {
  uint32_t width, height;
  int channels, bits; /* as libpng hands them out: 8 or 16 */
  int passes;
  size_t row_bytes;
  uint64_t stream_bytes; /* what the compressed data must unpack to, at least */
} layout;

static bool read_layout(codec *c, layout *l) {
  if (setjmp(png_jmpbuf(c->png))) return false;
  png_read_info(c->png, c->info);
  l->width = png_get_image_width(c->png, c->info);
  l->height = png_get_image_height(c->png, c->info);
  uint64_t bits = (uint64_t)png_get_channels(c->png, c->info) * png_get_bit_depth(c->png, c->info);
  l->stream_bytes = (uint64_t)l->width * l->height * bits / 8;
  png_set_expand(c->png);
  l->passes = png_set_interlace_handling(c->png);
  png_read_update_info(c->png, c->info);
  l->channels = png_get_channels(c->png, c->info);
  l->bits = png_get_bit_depth(c->png, c->info);
  l->row_bytes = png_get_rowbytes(c->png, c->info);
  return true;
}

/* Reads all rows: row y, in each pass, into rows + y * stride. */
static bool read_rows(codec *c, const layout *l, unsigned char *rows, size_t stride) {
  if (setjmp(png_jmpbuf(c->png))) return false;
  for (int pass = 0; pass < l->passes; pass++)
    for (size_t y = 0; y < l->height; y++) png_read_row(c->png, rows + y * stride, NULL);
  return true;
}

static bool read_row(codec *c, unsigned char *row) {
  if (setjmp(png_jmpbuf(c->png))) return false;
  png_read_row(c->png, row, NULL);
  return true;
}

/* What follows the rows: the checksum of the last of them is behind it. */
static bool read_end(codec *c) {
  if (setjmp(png_jmpbuf(c->png))) return false;
  png_read_end(c->png, NULL);
  return true;
}

static void decode_row(const unsigned char *row, const layout *l, bool raw, float *pixel) {
  const float *decode = rt_srgb_table();
  bool alpha = l->channels % 2 == 0;
  int colours = alpha ? l->channels - 1 : l->channels;
  for (uint32_t x = 0; x < l->width; x++, pixel += l->channels) {
    for (int c = 0; c < l->channels; c++) {
      unsigned v = l->bits == 16 ? (unsigned)row[0] << 8 | row[1] : row[0] * 257u;
      row += l->bits / 8;
      pixel[c] = c == colours || raw ? (float)v / 65535.0f : decode[v];
    }
    if (alpha)
      for (int c = 0; c < colours; c++) pixel[c] *= pixel[colours];
  }
}

static rt_status fail_damaged(const codec *c, rt_error *err) {
  return rt_fail(err, RT_BAD_DATA, "%s: the PNG is damaged or cut short (%s): use another copy", c->rest.path,
                 c->message);
}

/* True when every row is there. Uses up the reader. */
static rt_status walk(rt_bytes file, rt_error *err) {
  codec c;
  layout l = {0};
  rt_status status = RT_OK;
  unsigned char *row = NULL;
  if (!reader_open(&c, file))
    status = rt_fail_memory(err, "reading a PNG");
  else if (!read_layout(&c, &l))
    status = fail_damaged(&c, err);
  else if (!(row = rt_alloc(1, l.row_bytes, err)))
    status = RT_NO_MEMORY;
  else if (!read_rows(&c, &l, row, 0))
    status = fail_damaged(&c, err);
  rt_free(row);
  reader_close(&c);
  return status;
}

static rt_status read_pixels(codec *c, const layout *l, bool raw, rt_image *image, rt_error *err) {
  bool interlaced = l->passes > 1; /* its rows are whole only after the last pass */
  unsigned char *rows = rt_alloc(interlaced ? l->height : 1, l->row_bytes, err);
  if (!rows) return RT_NO_MEMORY;
  bool good = !interlaced || read_rows(c, l, rows, l->row_bytes);
  for (uint32_t y = 0; good && y < l->height; y++) {
    unsigned char *row = interlaced ? rows + y * l->row_bytes : rows;
    if (!interlaced) good = read_row(c, row);
    if (good) decode_row(row, l, raw, image->pixels + y * rt_image_row(image));
  }
  rt_free(rows);
  return good && read_end(c) ? RT_OK : fail_damaged(c, err);
}

rt_status rt_png_read(rt_image **out, rt_bytes file, bool raw, rt_error *err) {
  codec c;
  layout l = {0};
  rt_image *image = NULL;
  rt_status status = RT_OK;
  if (!reader_open(&c, file)) {
    status = rt_fail_memory(err, "reading a PNG");
  } else if (!read_layout(&c, &l)) {
    status = fail_damaged(&c, err);
  } else if (l.stream_bytes / DEFLATE_LIMIT > file.size) {
    status =
        rt_fail(err, RT_BAD_DATA, "%s: the PNG is cut short: %u x %u pixels cannot be in %zu bytes: use another copy",
                file.path, l.width, l.height, file.size);
  } else {
    uint64_t need = (uint64_t)l.width * l.height * (uint64_t)l.channels * sizeof(float);
    if (need > TRUSTED_BYTES && need / TRUSTED_RATIO > file.size) status = walk(file, err);
  }
  if (status == RT_OK) status = rt_image_new(&image, (int)l.width, (int)l.height, l.channels, err);
  if (status == RT_OK) status = read_pixels(&c, &l, raw, image, err);
  reader_close(&c);
  if (status == RT_OK)
    *out = image;
  else
    rt_image_free(image);
  return status;
}

/* ---- Writing ----------------------------------------------------------------------------------------------------- */

static void write_bytes(png_structp png, png_bytep from, size_t n) {
  codec *c = png_get_io_ptr(png);
  if (fwrite(from, 1, n, c->stream) == n) return;
  c->write_errno = errno;
  png_error(png, "write");
}

static void flush_nothing(png_structp png) { (void)png; }

static void set_text(codec *c, const rt_save_options *options) {
  for (size_t i = 0; i < options->n_text; i++) {
    png_text text = {.compression = PNG_TEXT_COMPRESSION_NONE};
    text.key = (png_charp)options->text[i].key;
    text.text = (png_charp)options->text[i].value;
    text.text_length = strlen(options->text[i].value);
    png_set_text(c->png, c->info, &text, 1);
  }
}

static bool write_all(codec *c, const rt_image *image, const rt_save_options *options) {
  static const int type[] = {PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_GRAY_ALPHA, PNG_COLOR_TYPE_RGB,
                             PNG_COLOR_TYPE_RGB_ALPHA};
  if (setjmp(png_jmpbuf(c->png))) return false;
  png_set_write_fn(c->png, c, write_bytes, flush_nothing);
  png_set_IHDR(c->png, c->info, (png_uint_32)image->width, (png_uint_32)image->height, options->bits,
               type[image->channels - 1], PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_set_sRGB(c->png, c->info, PNG_sRGB_INTENT_PERCEPTUAL);
  set_text(c, options);
  png_write_info(c->png, c->info);
  for (int y = 0; y < image->height; y++) {
    rt_display_row(image, y, options, options->bits, true, c->row);
    png_write_row(c->png, c->row);
  }
  png_write_end(c->png, NULL);
  return true;
}

static rt_status check_options(const rt_save_options *options, const char *path, rt_error *err) {
  if (options->bits != 8 && options->bits != 16)
    return rt_fail(err, RT_BAD_USAGE, "%s: a PNG of %d bits: 8 and 16 are possible", path, options->bits);
  for (size_t i = 0; i < options->n_text; i++) {
    size_t n = strlen(options->text[i].key);
    if (n < 1 || n > 79)
      return rt_fail(err, RT_BAD_USAGE, "%s: the key of a PNG's text has 1 to 79 characters: '%s'", path,
                     options->text[i].key);
  }
  return rt_display_check(options, path, err);
}

rt_status rt_png_write(const rt_image *image, FILE *stream, const char *path, const rt_save_options *options,
                       rt_error *err) {
  rt_status status = check_options(options, path, err);
  if (status != RT_OK) return status;
  codec c = {.stream = stream};
  c.row = rt_alloc(rt_image_row(image), (size_t)options->bits / 8, err);
  if (!c.row) return RT_NO_MEMORY;
  c.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &c, on_error, on_warning);
  c.info = c.png ? png_create_info_struct(c.png) : NULL;
  if (!c.info)
    status = rt_fail_memory(err, "writing a PNG");
  else if (!write_all(&c, image, options))
    status = c.write_errno ? rt_write_failed(path, c.write_errno, err)
                           : rt_fail(err, RT_CANT_WRITE, "%s: libpng cannot write it: %s", path, c.message);
  png_destroy_write_struct(&c.png, &c.info);
  rt_free(c.row);
  return status;
}

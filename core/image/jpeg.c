/* JPEG by libjpeg-turbo, both ways.
 *
 * Reading: grey, YCbCr and RGB, baseline and progressive, become 1 or 3 channels. Data that is cut short or damaged is
 * an error, where libjpeg would warn and make something up. Writing: 8 bits of a display (display.c), all three
 * components at full resolution, the integer transform, which is exact, and optimal Huffman tables; JFIF is sRGB by
 * convention.
 *
 * libjpeg reports errors by a call that may not return. What must survive the longjmp lives in a struct, never in a
 * local of the function that called setjmp. */
#include "image/image.h"

#ifdef RT_HAVE_LIBJPEG

#include <errno.h>
#include <jerror.h>
#include <jpeglib.h>
#include <setjmp.h>
#include <string.h>

#include "base/memory.h"

#define STRINGIZE(x) #x
#define TEXT_OF(x) STRINGIZE(x)

const char *rt_libjpeg_version(void) {
#ifdef LIBJPEG_TURBO_VERSION
  return TEXT_OF(LIBJPEG_TURBO_VERSION);
#else
  return TEXT_OF(JPEG_LIB_VERSION);
#endif
}

/* A progressive picture of more scans than this was made to keep its reader busy: libjpeg's own script has 10, and
 * no encoder makes as many as a hundred. */
#define MAX_SCANS 500

typedef struct {
  struct jpeg_error_mgr manager; /* first: libjpeg knows this alone */
  jmp_buf jump;
  char message[JMSG_LENGTH_MAX];
} failure;

static void on_error(j_common_ptr common) {
  failure *f = (failure *)common->err;
  f->manager.format_message(common, f->message);
  longjmp(f->jump, 1);
}

/* Warnings have a negative level. These leave the pixels whole: */
static bool is_harmless(int code) {
  return code == JWRN_EXTRANEOUS_DATA || code == JWRN_ADOBE_XFORM || code == JWRN_JFIF_MAJOR ||
         code == JWRN_TOO_MUCH_DATA;
}

static void on_message(j_common_ptr common, int level) {
  if (level < 0 && !is_harmless(common->err->msg_code)) on_error(common);
}

static struct jpeg_error_mgr *manage(failure *f) {
  struct jpeg_error_mgr *manager = jpeg_std_error(&f->manager);
  manager->error_exit = on_error;
  manager->emit_message = on_message;
  return manager;
}

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

typedef struct {
  struct jpeg_decompress_struct jpeg;
  failure failure;
  struct jpeg_progress_mgr progress;
} reader;

static void on_progress(j_common_ptr common) {
  const struct jpeg_decompress_struct *jpeg = (j_decompress_ptr)common;
  if (jpeg->input_scan_number <= MAX_SCANS) return;
  failure *f = (failure *)common->err;
  snprintf(f->message, sizeof f->message, "it has more than %d scans", MAX_SCANS);
  longjmp(f->jump, 1);
}

static bool read_header(reader *r, rt_bytes file) {
  if (setjmp(r->failure.jump)) return false;
  jpeg_create_decompress(&r->jpeg);
  r->jpeg.progress = &r->progress;
  jpeg_mem_src(&r->jpeg, file.data, (unsigned long)file.size);
  jpeg_read_header(&r->jpeg, TRUE);
  return true;
}

static bool start(reader *r, int channels) {
  if (setjmp(r->failure.jump)) return false;
  r->jpeg.out_color_space = channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  r->jpeg.dct_method = JDCT_ISLOW;
  jpeg_start_decompress(&r->jpeg);
  return true;
}

static bool read_row(reader *r, unsigned char *row) {
  if (setjmp(r->failure.jump)) return false;
  jpeg_read_scanlines(&r->jpeg, &row, 1);
  return true;
}

/* Reads to the end, where what is missing shows. */
static bool finish(reader *r) {
  if (setjmp(r->failure.jump)) return false;
  jpeg_finish_decompress(&r->jpeg);
  return true;
}

static rt_status fail_damaged(const reader *r, const char *path, rt_error *err) {
  return rt_fail(err, RT_BAD_DATA, "%s: the JPEG is damaged or cut short (%s): use another copy", path,
                 r->failure.message);
}

static rt_status read_pixels(reader *r, bool raw, rt_image *image, unsigned char *row, const char *path,
                             rt_error *err) {
  const float *decode = rt_srgb_table();
  for (int y = 0; y < image->height; y++) {
    if (!read_row(r, row)) return fail_damaged(r, path, err);
    float *pixel = image->pixels + (size_t)y * rt_image_row(image);
    for (size_t i = 0; i < rt_image_row(image); i++) pixel[i] = raw ? (float)row[i] / 255.0f : decode[row[i] * 257];
  }
  return finish(r) ? RT_OK : fail_damaged(r, path, err);
}

static rt_status read_file(reader *r, rt_image **image, rt_bytes file, bool raw, rt_error *err) {
  if (!read_header(r, file)) return fail_damaged(r, file.path, err);
  J_COLOR_SPACE space = r->jpeg.jpeg_color_space;
  if (space == JCS_CMYK || space == JCS_YCCK)
    return rt_fail(err, RT_BAD_DATA, "%s: a JPEG in CMYK colours is not read: convert it to RGB", file.path);
  rt_status status = rt_check_sides(r->jpeg.image_width, r->jpeg.image_height, file.path, err);
  if (status != RT_OK) return status;
  int width = (int)r->jpeg.image_width, height = (int)r->jpeg.image_height, channels = space == JCS_GRAYSCALE ? 1 : 3;
  /* A block of 8 by 8 takes at least one bit. */
  if ((uint64_t)width * (uint64_t)height / 64 / 8 > file.size)
    return rt_fail(err, RT_BAD_DATA,
                   "%s: the JPEG is cut short: %d x %d pixels cannot be in %zu bytes: use another copy", file.path,
                   width, height, file.size);
  if (!start(r, channels)) return fail_damaged(r, file.path, err);
  status = rt_image_new(image, width, height, channels, err);
  if (status != RT_OK) return status;
  unsigned char *row = rt_alloc(rt_image_row(*image), 1, err);
  if (!row) return RT_NO_MEMORY;
  status = read_pixels(r, raw, *image, row, file.path, err);
  rt_free(row);
  return status;
}

rt_status rt_jpeg_read(rt_image **out, rt_bytes file, bool raw, rt_error *err) {
  reader r = {.progress.progress_monitor = on_progress};
  r.jpeg.err = manage(&r.failure);
  rt_image *image = NULL;
  rt_status status = read_file(&r, &image, file, raw, err);
  jpeg_destroy_decompress(&r.jpeg);
  if (status == RT_OK)
    *out = image;
  else
    rt_image_free(image);
  return status;
}

/* ---- Writing ----------------------------------------------------------------------------------------------------- */

#define BUFFER_BYTES 65536

typedef struct {
  struct jpeg_compress_struct jpeg;
  failure failure;
  struct jpeg_destination_mgr destination;
  FILE *stream;
  int write_errno;
  unsigned char *row;
  unsigned char buffer[BUFFER_BYTES];
} writer;

static void rewind_buffer(j_compress_ptr jpeg) {
  writer *w = jpeg->client_data;
  w->destination.next_output_byte = w->buffer;
  w->destination.free_in_buffer = BUFFER_BYTES;
}

static void write_buffer(writer *w, size_t n) {
  if (fwrite(w->buffer, 1, n, w->stream) == n) return;
  w->write_errno = errno;
  longjmp(w->failure.jump, 1);
}

static boolean empty_buffer(j_compress_ptr jpeg) {
  write_buffer(jpeg->client_data, BUFFER_BYTES);
  rewind_buffer(jpeg);
  return TRUE;
}

static void end_buffer(j_compress_ptr jpeg) {
  writer *w = jpeg->client_data;
  write_buffer(w, BUFFER_BYTES - w->destination.free_in_buffer);
}

static bool write_all(writer *w, const rt_image *image, const rt_save_options *options) {
  if (setjmp(w->failure.jump)) return false;
  struct jpeg_compress_struct *jpeg = &w->jpeg;
  jpeg_create_compress(jpeg);
  jpeg->client_data = w;
  jpeg->dest = &w->destination;
  jpeg->image_width = (JDIMENSION)image->width;
  jpeg->image_height = (JDIMENSION)image->height;
  jpeg->input_components = rt_image_colours(image);
  jpeg->in_color_space = jpeg->input_components == 3 ? JCS_RGB : JCS_GRAYSCALE;
  jpeg_set_defaults(jpeg);
  jpeg_set_quality(jpeg, options->quality, TRUE);
  for (int i = 0; i < jpeg->num_components; i++)
    jpeg->comp_info[i].h_samp_factor = jpeg->comp_info[i].v_samp_factor = 1;
  jpeg->dct_method = JDCT_ISLOW;
  jpeg->optimize_coding = TRUE;
  jpeg_start_compress(jpeg, TRUE);
  for (int y = 0; y < image->height; y++) {
    rt_display_row(image, y, options, 8, false, w->row);
    jpeg_write_scanlines(jpeg, &w->row, 1);
  }
  jpeg_finish_compress(jpeg);
  return true;
}

rt_status rt_jpeg_write(const rt_image *image, FILE *stream, const char *path, const rt_save_options *options,
                        rt_error *err) {
  rt_status status = rt_display_check(options, path, err);
  if (status != RT_OK) return status;
  if (options->quality < 1 || options->quality > 100)
    return rt_fail(err, RT_BAD_USAGE, "%s: a JPEG of quality %d: 1 to 100 are possible", path, options->quality);
  if (image->width > JPEG_MAX_DIMENSION || image->height > JPEG_MAX_DIMENSION)
    return rt_fail(err, RT_BAD_USAGE, "%s: a JPEG has at most %d pixels a side: use another format", path,
                   (int)JPEG_MAX_DIMENSION);
  writer *w = rt_alloc(1, sizeof *w, err);
  if (!w) return RT_NO_MEMORY;
  w->stream = stream;
  w->destination =
      (struct jpeg_destination_mgr){.init_destination = rewind_buffer, .empty_output_buffer = empty_buffer};
  w->destination.term_destination = end_buffer;
  w->jpeg.err = manage(&w->failure);
  w->row = rt_alloc((size_t)image->width, (size_t)rt_image_colours(image), err);
  if (!w->row)
    status = RT_NO_MEMORY;
  else if (!write_all(w, image, options))
    status = w->write_errno ? rt_write_failed(path, w->write_errno, err)
                            : rt_fail(err, RT_CANT_WRITE, "%s: libjpeg cannot write it: %s", path, w->failure.message);
  jpeg_destroy_compress(&w->jpeg);
  rt_free(w->row);
  rt_free(w);
  return status;
}

#else

const char *rt_libjpeg_version(void) { return NULL; }

rt_status rt_jpeg_read(rt_image **out, rt_bytes file, bool raw, rt_error *err) {
  (void)out;
  (void)raw;
  return rt_fail_without(file.path, "JPEG", "libjpeg-dev", err);
}

rt_status rt_jpeg_write(const rt_image *image, FILE *stream, const char *path, const rt_save_options *options,
                        rt_error *err) {
  (void)image;
  (void)stream;
  (void)options;
  return rt_fail_without(path, "JPEG", "libjpeg-dev", err);
}

#endif

/* Portable float map: a line "PF" (RGB) or "Pf" (grey), width and height, a scale whose sign is the byte order
 * (negative: little endian), then floats in rows from bottom to top. Stored bits are kept as they are, NaN too; the
 * scale's size is a unit that no program agrees on and is ignored, as elsewhere. Written little-endian; alpha is
 * left out. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "image/image.h"

static bool is_blank(unsigned char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

/* At least one blank, then on; NULL when there is none. */
static const char *skip_blanks(const char *p) {
  if (!p || !is_blank((unsigned char)*p)) return NULL;
  while (is_blank((unsigned char)*p)) p++;
  return p;
}

static uint32_t load_u32(const unsigned char *p, bool little) {
  if (little) return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
  return (uint32_t)p[3] | (uint32_t)p[2] << 8 | (uint32_t)p[1] << 16 | (uint32_t)p[0] << 24;
}

rt_status rt_pfm_read(rt_image **out, rt_bytes file, rt_error *err) {
  int channels = file.data[1] == 'F' ? 3 : 1;
  uint64_t width = 0, height = 0;
  float scale = 0.0f;
  const char *p = skip_blanks((const char *)file.data + 2);
  p = p ? rt_text_uint(p, &width) : NULL;
  p = skip_blanks(p);
  p = p ? rt_text_uint(p, &height) : NULL;
  p = skip_blanks(p);
  p = p ? rt_text_float(p, &scale) : NULL;
  if (!p || !is_blank((unsigned char)*p) || !isfinite(scale) || scale == 0.0f)
    return rt_fail(err, RT_BAD_DATA, "%s: the PFM header is damaged: it wants width, height and a scale that is not 0",
                   file.path);
  rt_status status = rt_check_sides(width, height, file.path, err);
  if (status != RT_OK) return status;

  const unsigned char *data = (const unsigned char *)p;
  uint64_t need = width * height * (uint64_t)channels * 4, have = file.size - (size_t)(data - file.data) - 1;
  if (data[0] == '\r' && data[1] == '\n' && have > need) data++, have--;
  data++;
  if (have < need)
    return rt_fail(err, RT_BAD_DATA,
                   "%s: the PFM is cut short: %llu x %llu pixels need %llu bytes, there are %llu: use another copy",
                   file.path, (unsigned long long)width, (unsigned long long)height, (unsigned long long)need,
                   (unsigned long long)have);

  rt_image *image;
  status = rt_image_new(&image, (int)width, (int)height, channels, err);
  if (status != RT_OK) return status;
  size_t row = rt_image_row(image);
  for (size_t y = 0; y < height; y++) {
    float *pixels = image->pixels + (height - 1 - y) * row;
    for (size_t i = 0; i < row; i++, data += 4) {
      uint32_t bits = load_u32(data, scale < 0.0f);
      memcpy(&pixels[i], &bits, sizeof bits);
    }
  }
  *out = image;
  return RT_OK;
}

rt_status rt_pfm_write(const rt_image *image, FILE *stream, const char *path, const rt_save_options *options,
                       rt_error *err) {
  (void)options;
  int colours = rt_image_colours(image);
  size_t width = (size_t)image->width, row = width * (size_t)colours;
  unsigned char *bytes = rt_alloc(row, 4, err);
  if (!bytes) return RT_NO_MEMORY;
  bool good = fprintf(stream, "%s\n%d %d\n-1.0\n", colours == 3 ? "PF" : "Pf", image->width, image->height) > 0;
  for (int y = image->height - 1; good && y >= 0; y--) {
    const float *pixel = image->pixels + (size_t)y * rt_image_row(image);
    unsigned char *byte = bytes;
    for (size_t x = 0; x < width; x++, pixel += image->channels) {
      for (int c = 0; c < colours; c++, byte += 4) {
        uint32_t bits;
        memcpy(&bits, &pixel[c], sizeof bits);
        for (int k = 0; k < 4; k++) byte[k] = (unsigned char)(bits >> (8 * k));
      }
    }
    good = fwrite(bytes, 4, row, stream) == row;
  }
  int reason = errno;
  rt_free(bytes);
  return good ? RT_OK : rt_write_failed(path, reason, err);
}

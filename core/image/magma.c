/* A colour map for errors: magma (Smith & van der Walt 2015, for matplotlib, CC0), even to the eye and in print. Its
 * colours at eighths are joined by straight lines in sRGB. */
#include "image/image.h"

static const unsigned char stops[][3] = {
    {0x00, 0x00, 0x04}, {0x1d, 0x11, 0x47}, {0x51, 0x12, 0x7c}, {0x82, 0x26, 0x81}, {0xb6, 0x36, 0x79},
    {0xe6, 0x51, 0x64}, {0xfb, 0x88, 0x61}, {0xfe, 0xc2, 0x87}, {0xfc, 0xfd, 0xbf},
};

rt_status rt_image_magma(rt_image **out, const rt_image *values, rt_error *err) {
  const int last = (int)(sizeof stops / sizeof *stops) - 1;
  rt_image *image;
  rt_status status = rt_image_new(&image, values->width, values->height, 3, err);
  if (status != RT_OK) return status;
  image->placement = values->placement;
  size_t n = (size_t)values->width * (size_t)values->height, stride = (size_t)values->channels;
  for (size_t i = 0; i < n; i++) {
    double v = values->pixels[i * stride];
    v = v > 0.0 ? v < 1.0 ? v * last : last : 0.0; /* NaN is 0 */
    int below = v < last ? (int)v : last - 1;
    for (int c = 0; c < 3; c++) {
      double a = stops[below][c], b = stops[below + 1][c];
      image->pixels[3 * i + (size_t)c] = (float)rt_srgb_decode((a + (b - a) * (v - below)) / 255.0);
    }
  }
  *out = image;
  return RT_OK;
}

#include "render/aov.h"

#include <math.h>
#include <string.h>

#include "render/cells.h"

/* What a pixel keeps of an AOV: sums, whose mean is over all samples, over those that met something, or is a variance;
 * nothing, since it is known; or a number. */
typedef enum { MEAN, MEAN_OF_COVERED, SQUARES, COUNT, ID } kept;

static const struct {
  const char *name, *channels, *show;
  kept kept;
  int sums;
} AOVS[RT_AOVS] = {
    [RT_AOV_ALBEDO] = {"albedo", "RGB", "color", MEAN, 3},
    [RT_AOV_NORMAL] = {"normal", "XYZ", "signed", MEAN, 3},
    [RT_AOV_DEPTH] = {"depth", "Z", "distance", MEAN_OF_COVERED, 1},
    [RT_AOV_POSITION] = {"position", "XYZ", "fraction", MEAN_OF_COVERED, 3},
    [RT_AOV_UV] = {"uv", "UVA", "fraction", MEAN_OF_COVERED, 2},
    [RT_AOV_EMISSION] = {"emission", "RGB", "color", MEAN, 3},
    [RT_AOV_DIRECT] = {"direct", "RGB", "color", MEAN, 3},
    [RT_AOV_INDIRECT] = {"indirect", "RGB", "color", MEAN, 3},
    [RT_AOV_VARIANCE] = {"variance", "V", "root", SQUARES, 1},
    [RT_AOV_SAMPLES] = {"samples", "N", "doublings", COUNT, 0},
    [RT_AOV_SHAPE] = {"shape", "I", "number", ID, 0},
    [RT_AOV_MATERIAL] = {"material", "I", "number", ID, 0},
};

const char *rt_aov_name(rt_aov aov) { return AOVS[aov].name; }
const char *rt_aov_channels(rt_aov aov) { return AOVS[aov].channels; }
const char *rt_aov_show(rt_aov aov) { return AOVS[aov].show; }

int rt_aov_first_sum(uint32_t aovs, rt_aov aov) {
  int n = 0;
  for (int before = 0; before < (int)aov; before++)
    if (aovs & RT_AOV_BIT(before)) n += AOVS[before].sums;
  return n;
}

int rt_aov_sums(uint32_t aovs) { return rt_aov_first_sum(aovs, RT_AOVS); }

bool rt_aov_has_ids(uint32_t aovs) { return aovs & (RT_AOV_BIT(RT_AOV_SHAPE) | RT_AOV_BIT(RT_AOV_MATERIAL)); }

void rt_aov_add(uint32_t aovs, rt_fixed *sums, const rt_features *f, float luminance) {
  const rt_vec3 values[RT_AOVS] = {
      [RT_AOV_ALBEDO] = f->albedo,
      [RT_AOV_NORMAL] = f->normal,
      [RT_AOV_DEPTH] = {f->depth, 0.0f, 0.0f},
      [RT_AOV_POSITION] = f->position,
      [RT_AOV_UV] = {f->u, f->v, 0.0f},
      [RT_AOV_EMISSION] = f->emission,
      [RT_AOV_DIRECT] = f->direct,
      [RT_AOV_INDIRECT] = f->indirect,
      [RT_AOV_VARIANCE] = {luminance * luminance, 0.0f, 0.0f},
  };
  for (int aov = 0; aov < RT_AOVS; aov++) {
    if (!(aovs & RT_AOV_BIT(aov))) continue;
    const float v[3] = {values[aov].x, values[aov].y, values[aov].z};
    for (int i = 0; i < AOVS[aov].sums; i++) rt_fixed_add(sums++, rt_fixed_from_signed(v[i]));
  }
}

double rt_aov_variance(double mean, rt_fixed squares, uint32_t samples) {
  if (samples < 2) return 0.0;
  double n = samples, spread = (double)rt_fixed_mean(squares, samples) - mean * mean;
  return spread > 0.0 ? spread / (n - 1.0) : 0.0;
}

/* ---- What becomes of it ------------------------------------------------------------------------------------------- */

int rt_aov_image_channels(rt_aov aov) { return (int)strlen(AOVS[aov].channels); }

void rt_aov_read(const rt_film_cells *cells, size_t i, rt_aov aov, float *out) {
  const rt_film_pixel *pixel = &cells->pixels[i];
  const rt_fixed *sums = cells->sums + i * (size_t)cells->n_sums + rt_aov_first_sum(cells->aovs, aov);
  switch (AOVS[aov].kept) {
  case MEAN:
  case MEAN_OF_COVERED: {
    uint32_t n = AOVS[aov].kept == MEAN ? pixel->samples : pixel->covered;
    for (int c = 0; c < AOVS[aov].sums; c++) out[c] = rt_fixed_mean_signed(sums[c], n);
    if (aov == RT_AOV_DEPTH && n == 0) out[0] = INFINITY;
    if (aov == RT_AOV_UV) out[2] = rt_film_coverage(pixel);
    break;
  }
  case SQUARES: out[0] = (float)rt_aov_variance(rt_film_luminance(pixel), sums[0], pixel->samples); break;
  case COUNT: out[0] = (float)pixel->samples; break;
  case ID: out[0] = (float)(aov == RT_AOV_SHAPE ? cells->ids[i].shape : cells->ids[i].material); break;
  }
}

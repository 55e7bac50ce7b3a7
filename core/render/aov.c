#include "render/aov.h"

#include <math.h>
#include <string.h>

#include "base/vec.h"
#include "render/cells.h"

/* What a pixel keeps of an AOV: sums, whose mean is over all samples, over those that met something, or is a variance;
 * of an error, the samples of one half added and those of the other subtracted, and behind them the halves' sizes in
 * the same way; nothing, since it is known; or a number. */
typedef enum { MEAN, MEAN_OF_COVERED, SQUARES, ERROR, ERROR_OF_COVERED, COUNT, ID } kept;

static const struct {
  const char *name, *channels, *show;
  kept kept;
  int sums;
  rt_aov of; /* of an error: whose; RT_AOVS is radiance */
} AOVS[RT_AOVS] = {
    [RT_AOV_ALBEDO] = {"albedo", "RGB", "color", MEAN, 3, 0},
    [RT_AOV_NORMAL] = {"normal", "XYZ", "signed", MEAN, 3, 0},
    [RT_AOV_DEPTH] = {"depth", "Z", "distance", MEAN_OF_COVERED, 1, 0},
    [RT_AOV_POSITION] = {"position", "XYZ", "fraction", MEAN_OF_COVERED, 3, 0},
    [RT_AOV_UV] = {"uv", "UVA", "fraction", MEAN_OF_COVERED, 2, 0},
    [RT_AOV_EMISSION] = {"emission", "RGB", "color", MEAN, 3, 0},
    [RT_AOV_DIRECT] = {"direct", "RGB", "color", MEAN, 3, 0},
    [RT_AOV_INDIRECT] = {"indirect", "RGB", "color", MEAN, 3, 0},
    [RT_AOV_VARIANCE] = {"variance", "V", "root", SQUARES, 1, 0},
    [RT_AOV_SAMPLES] = {"samples", "N", "doublings", COUNT, 0, 0},
    [RT_AOV_SHAPE] = {"shape", "I", "number", ID, 0, 0},
    [RT_AOV_MATERIAL] = {"material", "I", "number", ID, 0, 0},
    [RT_AOV_ERROR] = {"error", "RGB", "signed", ERROR, 4, RT_AOVS},
    [RT_AOV_ALBEDO_ERROR] = {"albedo_error", "RGB", "signed", ERROR, 4, RT_AOV_ALBEDO},
    [RT_AOV_NORMAL_ERROR] = {"normal_error", "XYZ", "signed", ERROR, 4, RT_AOV_NORMAL},
    [RT_AOV_DEPTH_ERROR] = {"depth_error", "Z", "signed", ERROR_OF_COVERED, 2, RT_AOV_DEPTH},
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

static bool is_error(rt_aov aov) { return AOVS[aov].kept == ERROR || AOVS[aov].kept == ERROR_OF_COVERED; }

uint32_t rt_aov_kept(uint32_t aovs) {
  uint32_t kept = aovs;
  for (int aov = 0; aov < RT_AOVS; aov++) {
    if (!(aovs & RT_AOV_BIT(aov)) || !is_error((rt_aov)aov)) continue;
    kept |= RT_AOV_BIT(AOVS[aov].of == RT_AOVS ? RT_AOV_VARIANCE : AOVS[aov].of);
  }
  return kept;
}

/* The halves of a pixel's samples are every second block of this many: the points of a block are spread evenly
 * (sampler.c), so that either half is about as good as any picture of half the samples. */
#define HALF_BLOCK 8

void rt_aov_add(uint32_t aovs, rt_fixed *sums, const rt_film_sample *sample) {
  const rt_features *f = sample->features;
  float luminance = rgb_luminance(sample->radiance), sign = sample->index / HALF_BLOCK % 2 == 0 ? 1.0f : -1.0f;
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
    bool error = is_error((rt_aov)aov);
    rt_vec3 of = !error ? values[aov] : AOVS[aov].of == RT_AOVS ? sample->radiance : values[AOVS[aov].of];
    const float v[3] = {of.x, of.y, of.z};
    float factor = error ? sign : 1.0f;
    int n = AOVS[aov].sums - error;
    for (int i = 0; i < n && i < 3; i++) rt_fixed_add(sums++, rt_fixed_from_signed(factor * v[i]));
    if (!error) continue;
    bool counts = AOVS[aov].kept == ERROR || sample->covered;
    rt_fixed_add(sums++, rt_fixed_from_signed(counts ? sign : 0.0f));
  }
}

double rt_aov_variance(double mean, rt_fixed squares, uint32_t samples) {
  if (samples < 2) return 0.0;
  double n = samples, spread = (double)rt_fixed_mean(squares, samples) - mean * mean;
  return spread > 0.0 ? spread / (n - 1.0) : 0.0;
}

/* ---- What becomes of it ------------------------------------------------------------------------------------------- */

int rt_aov_image_channels(rt_aov aov) { return (int)strlen(AOVS[aov].channels); }

static const rt_fixed *sums_of(const rt_film_cells *cells, size_t i, rt_aov aov) {
  return cells->sums + i * (size_t)cells->n_sums + rt_aov_first_sum(cells->aovs, aov);
}

/* With a and b the means of halves of n and m samples: (a - b) sqrt(n m) / (n + m), whose square is an estimate of the
 * variance of the mean. The sums are s = n a - m b and n - m, and s - (n - m) mean = 2 n m (a - b) / (n + m). */
static void read_error(const rt_film_cells *cells, size_t i, rt_aov aov, float *out) {
  const rt_film_pixel *pixel = &cells->pixels[i];
  const rt_fixed *sums = sums_of(cells, i, aov),
                 *whole = AOVS[aov].of == RT_AOVS ? NULL : sums_of(cells, i, AOVS[aov].of);
  int channels = AOVS[aov].sums - 1;
  uint32_t count = AOVS[aov].kept == ERROR ? pixel->samples : pixel->covered;
  double all = count, more = count > 0 ? (double)rt_fixed_mean_signed(sums[channels], count) * all : 0.0;
  more = more < 0.0 ? (double)(int64_t)(more - 0.5) : (double)(int64_t)(more + 0.5);
  double n = 0.5 * (all + more), m = 0.5 * (all - more);
  for (int c = 0; c < channels; c++) {
    if (n > 0.0 && m > 0.0) {
      double mean = whole ? rt_fixed_mean_signed(whole[c], count) : rt_fixed_mean(pixel->sum[c], count);
      double s = (double)rt_fixed_mean_signed(sums[c], count) * all;
      out[c] = (float)((s - more * mean) / (2.0 * sqrt(n * m)));
    } else {
      rt_fixed squares = *sums_of(cells, i, RT_AOV_VARIANCE);
      out[c] = whole ? 0.0f : (float)sqrt(rt_aov_variance(rt_film_luminance(pixel), squares, count));
    }
  }
}

void rt_aov_read(const rt_film_cells *cells, size_t i, rt_aov aov, float *out) {
  const rt_film_pixel *pixel = &cells->pixels[i];
  const rt_fixed *sums = sums_of(cells, i, aov);
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
  case ERROR:
  case ERROR_OF_COVERED: read_error(cells, i, aov, out); break;
  case COUNT: out[0] = (float)pixel->samples; break;
  case ID: out[0] = (float)(aov == RT_AOV_SHAPE ? cells->ids[i].shape : cells->ids[i].material); break;
  }
}

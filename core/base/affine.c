/* Affine maps in double. */
#include <stdbool.h>

#include "base/vec.h"

rt_affine affine_mul(const rt_affine *a, const rt_affine *b) {
  rt_affine r;
  for (int i = 0; i < 3; i++) {
    const double *row = a->m[i];
    for (int j = 0; j < 4; j++) {
      double v = row[0] * b->m[0][j] + row[1] * b->m[1][j] + row[2] * b->m[2][j];
      r.m[i][j] = j == 3 ? v + row[3] : v;
    }
  }
  return r;
}

/* 2^-e where the largest magnitude of three is in [2^e, 2^(e + 1)). */
static double inverse_magnitude(double a, double b, double c) {
  double largest = fmax(fabs(a), fmax(fabs(b), fabs(c)));
  uint64_t bits, exponent;
  memcpy(&bits, &largest, sizeof bits);
  exponent = bits >> 52;
  if (exponent > 0 && exponent < 2046) { /* nearly always; the same, but a tenth of the time */
    bits = (2046 - exponent) << 52;
    memcpy(&largest, &bits, sizeof bits);
    return largest;
  }
  int e;
  frexp(largest, &e);
  return ldexp(1.0, 1 - e);
}

/* Scale must not matter, neither of the whole nor of an axis: rows and columns are first brought to magnitude 1 by
 * powers of two, exactly; a determinant below SINGULAR of that is rounding noise, as the entries carry errors of some
 * 2^-52. */
#define SINGULAR 0x1p-46

bool affine_invert(rt_affine *out, const rt_affine *a) {
  double m[3][3], row[3] = {1.0, 1.0, 1.0}, column[3] = {1.0, 1.0, 1.0};
  for (int i = 0; i < 3; i++) {
    for (int j = 0; j < 4; j++)
      if (!isfinite(a->m[i][j])) return false;
    for (int j = 0; j < 3; j++) m[i][j] = a->m[i][j];
  }
  for (int pass = 0; pass < 4; pass++) {
    for (int i = 0; i < 3; i++) {
      double s = pass & 1 ? inverse_magnitude(m[i][0], m[i][1], m[i][2]) : inverse_magnitude(m[0][i], m[1][i], m[2][i]);
      if (!isfinite(s)) return false; /* a subnormal scale */
      for (int j = 0; j < 3; j++) *(pass & 1 ? &m[i][j] : &m[j][i]) *= s;
      (pass & 1 ? row : column)[i] *= s;
    }
  }

  double adjugate[3][3];
  for (int i = 0; i < 3; i++) {
    int i1 = (i + 1) % 3, i2 = (i + 2) % 3;
    for (int j = 0; j < 3; j++) {
      int j1 = (j + 1) % 3, j2 = (j + 2) % 3;
      adjugate[j][i] = m[i1][j1] * m[i2][j2] - m[i1][j2] * m[i2][j1];
    }
  }
  double determinant = m[0][0] * adjugate[0][0] + m[0][1] * adjugate[1][0] + m[0][2] * adjugate[2][0];
  if (!(fabs(determinant) > SINGULAR)) return false;

  /* m = R a C, so that the inverse of a is C m^-1 R. */
  rt_affine r;
  for (int i = 0; i < 3; i++) {
    for (int j = 0; j < 3; j++) r.m[i][j] = adjugate[i][j] / determinant * column[i] * row[j];
    r.m[i][3] = 0.0 - (r.m[i][0] * a->m[0][3] + r.m[i][1] * a->m[1][3] + r.m[i][2] * a->m[2][3]);
    for (int j = 0; j < 4; j++)
      if (!isfinite(r.m[i][j])) return false;
  }
  *out = r;
  return true;
}

rt_vec3 affine_point(const rt_affine *a, rt_vec3 p) {
  double r[3];
  for (int i = 0; i < 3; i++) r[i] = a->m[i][0] * p.x + a->m[i][1] * p.y + a->m[i][2] * p.z + a->m[i][3];
  return v3((float)r[0], (float)r[1], (float)r[2]);
}

rt_vec3 affine_vector(const rt_affine *a, rt_vec3 v) {
  double r[3];
  for (int i = 0; i < 3; i++) r[i] = a->m[i][0] * v.x + a->m[i][1] * v.y + a->m[i][2] * v.z;
  return v3((float)r[0], (float)r[1], (float)r[2]);
}

/* Owns the linear algebra behind error bounds and areas: rounding outward, boxes under affine maps, singular values
 * of 3 by 3 matrices by cyclic Jacobi rotations (Golub & Van Loan 2013, section 8.5), and Carlson's R_G by
 * duplication (DLMF 19.36). Stands on base alone. Everything is + - * / sqrt in one order, so that bounds and areas
 * have the same bits everywhere. */
#include "geometry/linear.h"

/* Arvo 1990, "Transforming Axis-Aligned Bounding Boxes". The rounding of the sums is far below what rays allow for:
 * see trace.c. */
rt_bounds rt_bounds_map(const rt_affine *a, const rt_bounds *b) {
  if (!(b->min.x <= b->max.x)) return *b;
  const double lo[3] = {b->min.x, b->min.y, b->min.z}, hi[3] = {b->max.x, b->max.y, b->max.z};
  double out_lo[3], out_hi[3];
  for (int i = 0; i < 3; i++) {
    out_lo[i] = out_hi[i] = a->m[i][3];
    for (int j = 0; j < 3; j++) {
      double p = a->m[i][j] * lo[j], q = a->m[i][j] * hi[j];
      out_lo[i] += p < q ? p : q;
      out_hi[i] += p < q ? q : p;
    }
  }
  return (rt_bounds){v3(rt_round_down(out_lo[0]), rt_round_down(out_lo[1]), rt_round_down(out_lo[2])),
                     v3(rt_round_up(out_hi[0]), rt_round_up(out_hi[1]), rt_round_up(out_hi[2]))};
}

double rt_determinant(const rt_affine *a) {
  rt_d3 r0 = d3(a->m[0][0], a->m[0][1], a->m[0][2]), r1 = d3(a->m[1][0], a->m[1][1], a->m[1][2]),
        r2 = d3(a->m[2][0], a->m[2][1], a->m[2][2]);
  return d3_dot(r0, d3_cross(r1, r2));
}

/* Zeroes s[p][q] of a symmetric matrix by a rotation in the plane of p and q. */
static void jacobi_rotate(double s[3][3], int p, int q) {
  if (s[p][q] == 0.0) return;
  int r = 3 - p - q;
  double theta = (s[q][q] - s[p][p]) / (2.0 * s[p][q]);
  double t = copysign(1.0, theta) / (fabs(theta) + sqrt(theta * theta + 1.0));
  double c = 1.0 / sqrt(t * t + 1.0), sine = t * c;
  s[p][p] -= t * s[p][q];
  s[q][q] += t * s[p][q];
  s[p][q] = s[q][p] = 0.0;
  double rp = s[r][p], rq = s[r][q];
  s[r][p] = s[p][r] = c * rp - sine * rq;
  s[r][q] = s[q][r] = sine * rp + c * rq;
}

void rt_singular_squares(const rt_affine *a, double squares[3]) {
  double s[3][3]; /* A^T A */
  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 3; j++) s[i][j] = a->m[0][i] * a->m[0][j] + a->m[1][i] * a->m[1][j] + a->m[2][i] * a->m[2][j];
  /* Convergence is quadratic: 8 sweeps are twice what 53 bits take. */
  for (int sweep = 0; sweep < 8; sweep++) {
    jacobi_rotate(s, 0, 1);
    jacobi_rotate(s, 0, 2);
    jacobi_rotate(s, 1, 2);
  }
  for (int i = 0; i < 3; i++) squares[i] = d_max(s[i][i], 0.0);
  for (int i = 0; i < 2; i++) {
    for (int j = 0; j < 2 - i; j++) {
      if (squares[j] > squares[j + 1]) {
        double swap = squares[j];
        squares[j] = squares[j + 1];
        squares[j + 1] = swap;
      }
    }
  }
}

double rt_norm_bound(const rt_affine *a) {
  double columns = 0.0, rows = 0.0; /* the largest sums of |A^T A| and |A A^T| */
  for (int i = 0; i < 3; i++) {
    double by_columns = 0.0, by_rows = 0.0;
    for (int j = 0; j < 3; j++) {
      by_columns += fabs(a->m[0][i] * a->m[0][j] + a->m[1][i] * a->m[1][j] + a->m[2][i] * a->m[2][j]);
      by_rows += fabs(a->m[i][0] * a->m[j][0] + a->m[i][1] * a->m[j][1] + a->m[i][2] * a->m[j][2]);
    }
    columns = d_max(columns, by_columns);
    rows = d_max(rows, by_rows);
  }
  return sqrt(columns < rows ? columns : rows);
}

/* R_F and R_D by the duplication theorem until the arguments agree to 2^-10, then by the series of their differences
 * (DLMF 19.36.1 and 19.36.2), whose error is of seventh order: below 1e-15. */
static double elliptic_rf(double x, double y, double z) {
  double mean = (x + y + z) / 3.0;
  for (int i = 0; i < 100; i++) {
    double spread = d_max(fabs(mean - x), d_max(fabs(mean - y), fabs(mean - z)));
    if (spread <= 0x1p-10 * mean) break;
    double sx = sqrt(x), sy = sqrt(y), sz = sqrt(z), lambda = sx * sy + sy * sz + sz * sx;
    x = 0.25 * (x + lambda);
    y = 0.25 * (y + lambda);
    z = 0.25 * (z + lambda);
    mean = (x + y + z) / 3.0;
  }
  double dx = (mean - x) / mean, dy = (mean - y) / mean, dz = -(dx + dy);
  double e2 = dx * dy - dz * dz, e3 = dx * dy * dz;
  return (1.0 - e2 / 10.0 + e3 / 14.0 + e2 * e2 / 24.0 - 3.0 * e2 * e3 / 44.0) / sqrt(mean);
}

static double elliptic_rd(double x, double y, double z) {
  double mean = (x + y + 3.0 * z) / 5.0, sum = 0.0, power = 1.0;
  for (int i = 0; i < 100; i++) {
    double spread = d_max(fabs(mean - x), d_max(fabs(mean - y), fabs(mean - z)));
    if (spread <= 0x1p-10 * mean) break;
    double sx = sqrt(x), sy = sqrt(y), sz = sqrt(z), lambda = sx * sy + sy * sz + sz * sx;
    sum += power / (sz * (z + lambda));
    power *= 0.25;
    x = 0.25 * (x + lambda);
    y = 0.25 * (y + lambda);
    z = 0.25 * (z + lambda);
    mean = (x + y + 3.0 * z) / 5.0;
  }
  double dx = (mean - x) / mean, dy = (mean - y) / mean, dz = -(dx + dy) / 3.0;
  double xy = dx * dy, zz = dz * dz;
  double e2 = xy - 6.0 * zz, e3 = (3.0 * xy - 8.0 * zz) * dz, e4 = 3.0 * (xy - zz) * zz, e5 = xy * zz * dz;
  double series = 1.0 - 3.0 * e2 / 14.0 + e3 / 6.0 + 9.0 * e2 * e2 / 88.0 - 3.0 * e4 / 22.0 - 9.0 * e2 * e3 / 52.0 +
                  3.0 * e5 / 26.0;
  return 3.0 * sum + power * series / (mean * sqrt(mean));
}

/* DLMF 19.21.10, with the middle argument as z, so that no term is negative and nothing cancels. */
double rt_elliptic_rg(double x, double y, double z) {
  double lo = x < y ? x : y, hi = x < y ? y : x;
  double middle = z < lo ? lo : z > hi ? hi : z;
  lo = z < lo ? z : lo;
  hi = z > hi ? z : hi;
  double product = (middle - lo) * (hi - middle);
  return 0.5 *
         (middle * elliptic_rf(lo, hi, middle) + product * elliptic_rd(lo, hi, middle) / 3.0 + sqrt(lo * hi / middle));
}

// Gradients of rows; vector_kernels.h includes this.

INLINE vf gelu_divisor16(vf c) {
  return splat(1.0f) + exp16(-(c * fma16(c * c, splat(YK_GELU_B), splat(YK_GELU_A))));
}
INLINE vf gelu_bounded16(vf x) {
  vf c = select16(x < splat(16.0f), x, splat(16.0f));
  return maximum16(c, splat(-16.0f));
}

INLINE vf normal_integral16(vf x, vf *bell) {
  vf t = as_vf(as_vi(x) & 0x7FFFFFFF), u = splat(1.0f) / fma16(t, splat(0.25f), splat(1.0f));
  *bell = exp16(-((splat(0.5f) * t) * t));
  vf p = fma16(splat(YK_NORMAL_P9), u, splat(YK_NORMAL_P8));
  p = fma16(p, u, splat(YK_NORMAL_P7));
  p = fma16(p, u, splat(YK_NORMAL_P6));
  p = fma16(p, u, splat(YK_NORMAL_P5));
  p = fma16(p, u, splat(YK_NORMAL_P4));
  p = fma16(p, u, splat(YK_NORMAL_P3));
  p = fma16(p, u, splat(YK_NORMAL_P2));
  p = fma16(p, u, splat(YK_NORMAL_P1));
  p = fma16(p, u, splat(YK_NORMAL_P0));
  vf tail = *bell * (u * p);
  return select16(x < splat(0.0f), tail, splat(1.0f) - tail);
}

static void gelu(yk_gelu kind, const float *x, size_t n, float *y) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    vf v = loadf(x + i), bell;
    if (kind == YK_GELU_TANH) storef(y + i, v / gelu_divisor16(gelu_bounded16(v)));
    else storef(y + i, v * normal_integral16(v, &bell));
  }
  yk_gelu_rows(kind, x + i, n - i, y + i);
}

static void gelu_gradient(yk_gelu kind, const float *x, const float *dy, size_t n, float *dx) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    vf v = loadf(x + i), slope;
    if (kind == YK_GELU_TANH) {
      vf c = gelu_bounded16(v), p = splat(1.0f) / gelu_divisor16(c);
      vf steep = (splat(1.0f) - p) * fma16(c * c, splat(YK_GELU_3B), splat(YK_GELU_A));
      slope = fma16(v * p, steep, p);
    } else {
      vf bell, integral = normal_integral16(v, &bell);
      slope = fma16(v, bell * splat(YK_NORMAL_DENSITY), integral);
    }
    storef(dx + i, loadf(dy + i) * slope);
  }
  yk_gelu_gradient(kind, x + i, dy + i, n - i, dx + i);
}

static void swiglu_gradient(const float *gate, const float *up, const float *dy, size_t n,
                            float *dgate, float *dup) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    vf g = loadf(gate + i), d = loadf(dy + i), divisor = splat(1.0f) + exp16(-g);
    vf silu = g / divisor, sigmoid = splat(1.0f) / divisor;
    vf slope = fma16(silu, splat(1.0f) - sigmoid, sigmoid);
    storef(dgate + i, (d * loadf(up + i)) * slope);
    storef(dup + i, d * silu);
  }
  yk_swiglu_gradient(gate + i, up + i, dy + i, n - i, dgate + i, dup + i);
}

static void softmax_gradient(const float *y, const float *dy, size_t n, float *dx) {
  vf chains = splat(0);
  size_t i = 0;
  for (; i + 16 <= n; i += 16) chains = fma16(loadf(y + i), loadf(dy + i), chains);
  float lane[16];
  storef(lane, chains);
  for (size_t j = i; j < n; j++) lane[j - i] = __builtin_fmaf(y[j], dy[j], lane[j - i]);
  float sum = tree16(loadf(lane));
  for (i = 0; i + 16 <= n; i += 16)
    storef(dx + i, loadf(y + i) * (loadf(dy + i) - splat(sum)));
  for (; i < n; i++) dx[i] = y[i] * (dy[i] - sum);
}

// Both chains of a norm's gradient: of g = dy * weight, and of g times the normalised x.
INLINE void norm_sums(const float *x, const float *weight, const float *dy, float mean, float r,
                      size_t n, float *sum, float *dot) {
  vf sums = splat(0), dots = splat(0);
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    vf g = loadf(dy + i) * loadf(weight + i);
    sums = sums + g;
    dots = fma16(g, (loadf(x + i) - splat(mean)) * splat(r), dots);
  }
  float sum_lane[16], dot_lane[16];
  storef(sum_lane, sums);
  storef(dot_lane, dots);
  for (size_t j = 0; i + j < n; j++) {
    float g = dy[i + j] * weight[i + j];
    sum_lane[j] = sum_lane[j] + g;
    dot_lane[j] = __builtin_fmaf(g, (x[i + j] - mean) * r, dot_lane[j]);
  }
  *sum = tree16(loadf(sum_lane));
  *dot = tree16(loadf(dot_lane));
}

static void rms_norm_gradient(const float *x, const float *weight, float epsilon, const float *dy,
                              size_t n, float *dx, float *reciprocal) {
  float r = 1.0f / __builtin_sqrtf(square_sum(x, 0.0f, n) / (float)n + epsilon), sum, dot;
  norm_sums(x, weight, dy, 0.0f, r, n, &sum, &dot);
  float mean = dot / (float)n;
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    vf g = loadf(dy + i) * loadf(weight + i);
    storef(dx + i, fma16(loadf(x + i) * splat(r), splat(-mean), g) * splat(r));
  }
  for (; i < n; i++) dx[i] = __builtin_fmaf(x[i] * r, -mean, dy[i] * weight[i]) * r;
  *reciprocal = r;
}

static void layer_norm_gradient(const float *x, const float *weight, float epsilon,
                                const float *dy, size_t n, float *dx, float *mean,
                                float *reciprocal) {
  vf chains = splat(0);
  size_t i = 0;
  for (; i + 16 <= n; i += 16) chains = chains + loadf(x + i);
  float lane[16];
  storef(lane, chains);
  for (size_t j = 0; i + j < n; j++) lane[j] = lane[j] + x[i + j];
  float m = tree16(loadf(lane)) / (float)n, sum, dot;
  float r = 1.0f / __builtin_sqrtf(square_sum(x, m, n) / (float)n + epsilon);
  norm_sums(x, weight, dy, m, r, n, &sum, &dot);
  float first = sum / (float)n, second = dot / (float)n;
  for (i = 0; i + 16 <= n; i += 16) {
    vf g = loadf(dy + i) * loadf(weight + i) - splat(first);
    vf centred = (loadf(x + i) - splat(m)) * splat(r);
    storef(dx + i, fma16(centred, splat(-second), g) * splat(r));
  }
  for (; i < n; i++)
    dx[i] = __builtin_fmaf((x[i] - m) * r, -second, dy[i] * weight[i] - first) * r;
  *mean = m;
  *reciprocal = r;
}

// Four vectors of columns at a time, so that a row is read in whole stretches.
INLINE void norm_weight_columns(const float *x, const float *dy, size_t row_stride,
                                const float *mean, const float *reciprocal, size_t rows,
                                size_t vectors, float *gradient) {
  vf sum[4];
  UNROLL for (size_t v = 0; v < vectors; v++) sum[v] = loadf(gradient + 16 * v);
  for (size_t t = 0; t < rows; t++, x += row_stride, dy += row_stride) {
    vf m = splat(mean ? mean[t] : 0.0f), r = splat(reciprocal[t]);
    UNROLL for (size_t v = 0; v < vectors; v++)
      sum[v] = fma16(loadf(dy + 16 * v), (loadf(x + 16 * v) - m) * r, sum[v]);
  }
  UNROLL for (size_t v = 0; v < vectors; v++) storef(gradient + 16 * v, sum[v]);
}

static void norm_weight_gradient(const float *x, const float *dy, size_t row_stride,
                                 const float *mean, const float *reciprocal, size_t rows, size_t n,
                                 float *gradient) {
  size_t i = 0;
  for (; i + 64 <= n; i += 64)
    norm_weight_columns(x + i, dy + i, row_stride, mean, reciprocal, rows, 4, gradient + i);
  for (; i + 16 <= n; i += 16)
    norm_weight_columns(x + i, dy + i, row_stride, mean, reciprocal, rows, 1, gradient + i);
  yk_norm_weight_gradient(x + i, dy + i, row_stride, mean, reciprocal, rows, n - i, gradient + i);
}

INLINE void bias_columns(const float *dy, size_t row_stride, size_t rows, size_t vectors,
                         float *gradient) {
  vf sum[4];
  UNROLL for (size_t v = 0; v < vectors; v++) sum[v] = loadf(gradient + 16 * v);
  for (size_t t = 0; t < rows; t++, dy += row_stride)
    UNROLL for (size_t v = 0; v < vectors; v++) sum[v] = sum[v] + loadf(dy + 16 * v);
  UNROLL for (size_t v = 0; v < vectors; v++) storef(gradient + 16 * v, sum[v]);
}

static void bias_gradient(const float *dy, size_t row_stride, size_t rows, size_t n,
                          float *gradient) {
  size_t i = 0;
  for (; i + 64 <= n; i += 64) bias_columns(dy + i, row_stride, rows, 4, gradient + i);
  for (; i + 16 <= n; i += 16) bias_columns(dy + i, row_stride, rows, 1, gradient + i);
  yk_bias_gradient(dy + i, row_stride, rows, n - i, gradient + i);
}

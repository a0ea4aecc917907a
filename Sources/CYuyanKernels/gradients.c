// The specification of the gradients of products and rows: docs/numerics.md, "Gradients".

#include "scalar_math.h"

#pragma STDC FP_CONTRACT OFF

void yk_strip_pack(const float *x, size_t row_stride, size_t rows, size_t width, size_t stride,
                   float *out) {
  for (size_t t = 0; t < rows; t++)
    for (size_t i = 0; i < stride; i++)
      out[t * stride + i] = i < width ? x[t * row_stride + i] : 0.0f;
}

void yk_panel_transpose(const float *panel, size_t count, size_t rows, float *out) {
  for (size_t r = 0; r < rows; r++)
    for (size_t k = 0; k < YK_PANEL; k++)
      out[r * YK_PANEL + k] = k < count ? panel[k * YK_PANEL + r] : 0.0f;
}

// The part of x that the tanh form's polynomial sees: beyond it the exponential is 0 or infinite.
static float gelu_bounded(float x) {
  float c = x < 16.0f ? x : 16.0f;
  return c > -16.0f ? c : -16.0f;
}

// 1 + exp(-z), whose reciprocal weighs x in the tanh form.
static float gelu_divisor(float c) {
  return 1.0f + exponential1(-(c * fma32(c * c, YK_GELU_B, YK_GELU_A)));
}

// The normal distribution's integral up to x; `bell` is exp(-x^2 / 2).
static float normal_integral(float x, float *bell) {
  float t = __builtin_fabsf(x), u = 1.0f / fma32(t, 0.25f, 1.0f);
  *bell = exponential1(-((0.5f * t) * t));
  float p = fma32(YK_NORMAL_P9, u, YK_NORMAL_P8);
  p = fma32(p, u, YK_NORMAL_P7);
  p = fma32(p, u, YK_NORMAL_P6);
  p = fma32(p, u, YK_NORMAL_P5);
  p = fma32(p, u, YK_NORMAL_P4);
  p = fma32(p, u, YK_NORMAL_P3);
  p = fma32(p, u, YK_NORMAL_P2);
  p = fma32(p, u, YK_NORMAL_P1);
  p = fma32(p, u, YK_NORMAL_P0);
  float tail = *bell * (u * p);
  return x < 0.0f ? tail : 1.0f - tail;
}

void yk_gelu_rows(yk_gelu kind, const float *x, size_t n, float *y) {
  for (size_t i = 0; i < n; i++) {
    float bell;
    if (kind == YK_GELU_TANH) y[i] = x[i] / gelu_divisor(gelu_bounded(x[i]));
    else y[i] = x[i] * normal_integral(x[i], &bell);
  }
}

void yk_gelu_gradient(yk_gelu kind, const float *x, const float *dy, size_t n, float *dx) {
  for (size_t i = 0; i < n; i++) {
    float slope;
    if (kind == YK_GELU_TANH) {
      float c = gelu_bounded(x[i]), p = 1.0f / gelu_divisor(c);
      float steep = (1.0f - p) * fma32(c * c, YK_GELU_3B, YK_GELU_A);
      slope = fma32(x[i] * p, steep, p);
    } else {
      float bell, integral = normal_integral(x[i], &bell);
      slope = fma32(x[i], bell * YK_NORMAL_DENSITY, integral);
    }
    dx[i] = dy[i] * slope;
  }
}

void yk_swiglu_gradient(const float *gate, const float *up, const float *dy, size_t n,
                        float *dgate, float *dup) {
  for (size_t i = 0; i < n; i++) {
    float g = gate[i], d = dy[i], divisor = 1.0f + exponential1(-g);
    float silu = g / divisor, sigmoid = 1.0f / divisor;
    float slope = fma32(silu, 1.0f - sigmoid, sigmoid);
    dgate[i] = (d * up[i]) * slope;
    dup[i] = d * silu;
  }
}

void yk_softmax_gradient(const float *y, const float *dy, size_t n, float *dx) {
  float lane[16] = {0};
  for (size_t i = 0; i < n; i++) lane[i % 16] = fma32(y[i], dy[i], lane[i % 16]);
  float sum = tree16(lane);
  for (size_t i = 0; i < n; i++) dx[i] = y[i] * (dy[i] - sum);
}

void yk_rms_norm_gradient(const float *x, const float *weight, float epsilon, const float *dy,
                          size_t n, float *dx, float *reciprocal) {
  float r = 1.0f / __builtin_sqrtf(square_sum(x, 0.0f, n) / (float)n + epsilon);
  float lane[16] = {0};
  for (size_t i = 0; i < n; i++)
    lane[i % 16] = fma32(dy[i] * weight[i], x[i] * r, lane[i % 16]);
  float mean = tree16(lane) / (float)n;
  for (size_t i = 0; i < n; i++) dx[i] = fma32(x[i] * r, -mean, dy[i] * weight[i]) * r;
  *reciprocal = r;
}

void yk_layer_norm_gradient(const float *x, const float *weight, float epsilon, const float *dy,
                            size_t n, float *dx, float *mean, float *reciprocal) {
  float lane[16] = {0};
  for (size_t i = 0; i < n; i++) lane[i % 16] = lane[i % 16] + x[i];
  float m = tree16(lane) / (float)n;
  float r = 1.0f / __builtin_sqrtf(square_sum(x, m, n) / (float)n + epsilon);
  float sum[16] = {0}, dot[16] = {0};
  for (size_t i = 0; i < n; i++) {
    float g = dy[i] * weight[i];
    sum[i % 16] = sum[i % 16] + g;
    dot[i % 16] = fma32(g, (x[i] - m) * r, dot[i % 16]);
  }
  float first = tree16(sum) / (float)n, second = tree16(dot) / (float)n;
  for (size_t i = 0; i < n; i++)
    dx[i] = fma32((x[i] - m) * r, -second, dy[i] * weight[i] - first) * r;
  *mean = m;
  *reciprocal = r;
}

void yk_norm_weight_gradient(const float *x, const float *dy, size_t row_stride,
                             const float *mean, const float *reciprocal, size_t rows, size_t n,
                             float *gradient) {
  for (size_t i = 0; i < n; i++) {
    float sum = gradient[i];
    for (size_t t = 0; t < rows; t++) {
      float centred = x[t * row_stride + i] - (mean ? mean[t] : 0.0f);
      sum = fma32(dy[t * row_stride + i], centred * reciprocal[t], sum);
    }
    gradient[i] = sum;
  }
}

void yk_bias_gradient(const float *dy, size_t row_stride, size_t rows, size_t n, float *gradient) {
  for (size_t i = 0; i < n; i++) {
    float sum = gradient[i];
    for (size_t t = 0; t < rows; t++) sum = sum + dy[t * row_stride + i];
    gradient[i] = sum;
  }
}

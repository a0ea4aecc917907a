// The specification: every kernel as plain loops. The vector variants must give the same bits.

#include "scalar_math.h"

#pragma STDC FP_CONTRACT OFF

static void exponential(const float *x, size_t n, float *y) {
  for (size_t i = 0; i < n; i++) y[i] = exponential1(x[i]);
}

static void tile_float_pack(const float *x, size_t row_stride, size_t count, size_t columns,
                            size_t stride, float *out) {
  for (size_t i = 0; i < count; i++)
    for (size_t k = 0; k < columns; k++) out[k * stride + i] = x[i * row_stride + k];
}

static void few_float_pack(const float *x, size_t row_stride, size_t count, size_t columns,
                           size_t stride, float *out) {
  for (size_t i = 0; i < count; i++)
    for (size_t k = 0; k < columns; k++)
      out[(k / YK_PANEL * stride + i) * YK_PANEL + k % YK_PANEL] = x[i * row_stride + k];
}

static void pack_int16(const float *x, size_t row_stride, size_t count, size_t columns,
                       size_t stride, size_t token_stride, size_t step_stride, yk_tile16 out) {
  for (size_t i = 0; i < count; i++) {
    for (size_t b = 0; b < columns / YK_BLOCK; b++) {
      const float *v = x + i * row_stride + b * YK_BLOCK;
      uint32_t largest = 0;
      for (size_t k = 0; k < YK_BLOCK; k++) {
        uint32_t bits;
        memcpy(&bits, v + k, 4);
        bits &= 0x7FFFFFFF;
        if (bits > largest) largest = bits;
      }
      float maximum;
      memcpy(&maximum, &largest, 4);
      int tiny = maximum < 1e-30f;
      float scale = tiny ? 0.0f : maximum / 32767.0f, inverse = tiny ? 0.0f : 32767.0f / maximum;
      int32_t codes[YK_BLOCK], sum = 0;
      for (size_t k = 0; k < YK_BLOCK; k++) {
        float code = rounded(v[k] * inverse);
        codes[k] = code == code ? (int32_t)code : 0;
        sum += codes[k];
      }
      for (size_t s = 0; s < YK_STEPS; s++) {
        size_t k = yk_step_column(s);
        out.codes[b * YK_STEPS * stride + i * token_stride + s * step_stride] =
            (int32_t)(((uint32_t)codes[k] & 0xFFFF) | (uint32_t)codes[k + 2] << 16);
      }
      out.scale[b * stride + i] = scale;
      out.sum[b * stride + i] = scale * (float)sum;
      out.code_sum[b * stride + i] = sum;
    }
  }
}

static void tile_int16_pack(const float *x, size_t row_stride, size_t count, size_t columns,
                            size_t stride, yk_tile16 out) {
  pack_int16(x, row_stride, count, columns, stride, 1, stride, out);
}
static void few_int16_pack(const float *x, size_t row_stride, size_t count, size_t columns,
                           size_t stride, yk_tile16 out) {
  pack_int16(x, row_stride, count, columns, stride, YK_STEPS, 1, out);
}

static float float_element(yk_format format, const uint8_t *panel, size_t at) {
  float f;
  if (format == YK_F16) return yk_half_to_float(load16(panel + 2 * at));
  if (format == YK_BF16) return yk_bfloat_to_float(load16(panel + 2 * at));
  memcpy(&f, panel + 4 * at, 4);
  return f;
}

static float element(yk_format format, const uint8_t *panel, const yk_panel_layout *l, size_t lane,
                     size_t column) {
  if (yk_is_code4(format)) return yk_code4_value(format, panel, l, lane, column);
  return float_element(format, panel, column * YK_PANEL + lane);
}

static void expand_float(yk_format format, const uint8_t *panel, size_t columns, float *out) {
  yk_panel_layout l = yk_panel_layout_of(format, columns);
  for (size_t lane = 0; lane < YK_PANEL; lane++) {
    if (yk_is_float(format)) {
      for (size_t at = lane; at < columns * YK_PANEL; at += YK_PANEL)
        out[at] = float_element(format, panel, at);
    } else {
      for (size_t b = 0; b < columns / YK_BLOCK; b++) {
        float block[YK_BLOCK];
        yk_unpack_block(format, panel, &l, lane, b, block);
        for (size_t k = 0; k < YK_BLOCK; k++)
          out[(b * YK_BLOCK + k) * YK_PANEL + lane] = block[k];
      }
    }
  }
}

// Code of one column with its offset subtracted.
static int signed_code(yk_format format, const uint8_t *panel, const yk_panel_layout *l, size_t b,
                       size_t column, size_t lane) {
  if (!yk_has_nibbles(format))
    return (int8_t)panel[b * 512 + 64 * (column / 4) + 4 * lane + column % 4];
  size_t byte = column % 16;
  int code = panel[b * 256 + 64 * (byte / 4) + 4 * lane + byte % 4];
  code = column < 16 ? code & 15 : code >> 4;
  if (yk_has_fifth_bit(format)) {
    uint32_t high;
    memcpy(&high, panel + l->high + 4 * (b * YK_PANEL + lane), 4);
    size_t step = (byte / 4) * 4 + 2 * (byte & 1) + (column >= 16);
    code |= (int)(high >> (step + (byte & 2 ? 16 : 0)) & 1) << 4;
  }
  return code - yk_code_offset(format);
}

// Scale (of half `half` of a block, for formats with 16 columns to a scale) and minimum of a row.
static void block_scales(yk_format format, const uint8_t *panel, const yk_panel_layout *l,
                         size_t b, size_t half, size_t lane, float *scale, float *minimum) {
  size_t row = yk_is_k(format) ? b / 8 : b;
  *scale = yk_half_to_float(load16(panel + l->scale + 2 * (row * YK_PANEL + lane)));
  *minimum = 0;
  if (yk_has_minimum(format))
    *minimum = yk_half_to_float(load16(panel + l->minimum + 2 * (row * YK_PANEL + lane)));
  if (format == YK_Q4_K || format == YK_Q5_K) {
    *scale = *scale * (float)panel[l->sub_scale + b * YK_PANEL + lane];
    *minimum = -(*minimum * (float)panel[l->sub_minimum + b * YK_PANEL + lane]);
  } else if (format == YK_Q6_K) {
    *scale = *scale * (float)(int8_t)panel[l->sub_scale + (2 * b + half) * YK_PANEL + lane];
  }
}

static void expand_int16(yk_format format, const uint8_t *panel, size_t columns,
                         yk_expanded16 out) {
  yk_panel_layout l = yk_panel_layout_of(format, columns);
  size_t parts = format == YK_Q6_K ? 2 : 1;
  for (size_t b = 0; b < columns / YK_BLOCK; b++) {
    for (size_t lane = 0; lane < YK_PANEL; lane++) {
      for (size_t s = 0; s < YK_STEPS; s++) {
        size_t k = yk_step_column(s);
        int16_t *pair = out.codes + ((b * YK_STEPS + s) * YK_PANEL + lane) * 2;
        pair[0] = (int16_t)signed_code(format, panel, &l, b, k, lane);
        pair[1] = (int16_t)signed_code(format, panel, &l, b, k + 2, lane);
      }
      for (size_t half = 0; half < parts; half++) {
        float minimum;
        block_scales(format, panel, &l, b, half, lane,
                     out.scale + (b * parts + half) * YK_PANEL + lane, &minimum);
        if (yk_has_minimum(format)) out.minimum[b * YK_PANEL + lane] = minimum;
      }
    }
  }
}

// One output of one row: a chain over the columns.
static void matmul_lane(const float *w, size_t columns, const float *tile, size_t stride,
                        int resume, float *place) {
  float sum = resume ? *place : 0;
  for (size_t k = 0; k < columns; k++) sum = fma32(w[k * YK_PANEL], tile[k * stride], sum);
  *place = sum;
}

static void product_float(const yk_product *job) {
  for (size_t t = 0; t < job->rows; t++) {
    size_t tile = t / job->tile_rows, i = t % job->tile_rows;
    for (size_t r = 0; r < job->width; r++) {
      size_t panel = r / YK_PANEL, lane = r % YK_PANEL;
      float *place = job->y + (t * job->y_stride + panel * job->y_panel_stride + lane);
      matmul_lane(job->panels + panel * job->panel_stride + lane, job->columns,
                  job->tiles + tile * job->columns * job->tile_rows + i, job->tile_rows,
                  job->resume, place);
      if (job->added_columns) {
        float added;
        matmul_lane(job->added_panels + panel * job->added_panel_stride + lane,
                    job->added_columns,
                    job->added_tiles + tile * job->added_columns * job->tile_rows + i,
                    job->tile_rows, 0, &added);
        *place = *place + added;
      }
    }
  }
}

static void product_across(const yk_product_across *job) {
  for (size_t i = 0; i < job->columns; i++)
    for (size_t r = 0; r < job->panels * YK_PANEL; r++) {
      float *place =
          job->y + (i * job->y_stride + r / YK_PANEL * job->y_panel_stride + r % YK_PANEL);
      float sum = job->resume ? *place : 0;
      for (size_t t = 0; t < job->rows; t++)
        sum = fma32(job->x[t * job->x_stride + r], job->z[t * job->z_stride + i], sum);
      *place = sum;
    }
}

// The integer part of one block's product, over the steps first, first + every, ...
static int32_t block_dot(const int16_t *codes, const int32_t *x, size_t stride, size_t first,
                         size_t every) {
  int32_t sum = 0;
  for (size_t s = first; s < YK_STEPS; s += every) {
    const int16_t *w = codes + s * YK_PANEL * 2;
    int32_t pair = x[s * stride];
    sum += w[0] * (int16_t)(pair & 0xFFFF) + w[1] * (pair >> 16);
  }
  return sum;
}

static void matmul_int16(yk_format format, yk_expanded16 weights, size_t panels, size_t columns,
                         yk_tile16 tile, size_t stride, size_t count, int resume, float *y,
                         size_t y_stride) {
  size_t parts = format == YK_Q6_K ? 2 : 1;
  for (size_t i = 0; i < count; i++) {
    for (size_t row = 0; row < panels * YK_PANEL; row++) {
      yk_expanded16 panel = yk_panel_of(weights, row / YK_PANEL);
      size_t r = row % YK_PANEL;
      float sum = resume ? y[i * y_stride + row] : 0;
      for (size_t b = 0; b < columns / YK_BLOCK; b++) {
        for (size_t half = 0; half < parts; half++) {
          int32_t dot = block_dot(panel.codes + (b * YK_STEPS * YK_PANEL + r) * 2,
                                  tile.codes + b * YK_STEPS * stride + i, stride, half, parts);
          float scale =
              panel.scale[(b * parts + half) * YK_PANEL + r] * tile.scale[b * stride + i];
          sum = fma32(scale, (float)dot, sum);
        }
        if (yk_has_minimum(format))
          sum = fma32(panel.minimum[b * YK_PANEL + r], tile.sum[b * stride + i], sum);
      }
      y[i * y_stride + row] = sum;
    }
  }
}

static void matvec_float(yk_format format, const uint8_t *panels, size_t count, size_t columns,
                         const float *x, float *y) {
  yk_panel_layout l = yk_panel_layout_of(format, columns);
  for (size_t p = 0; p < count; p++) {
    const uint8_t *panel = panels + p * l.bytes;
    for (size_t lane = 0; lane < YK_PANEL; lane++) {
      float sum = 0;
      for (size_t b = 0; b * YK_BLOCK < columns; b++) {
        float block[YK_BLOCK];
        size_t n = columns - b * YK_BLOCK < YK_BLOCK ? columns - b * YK_BLOCK : YK_BLOCK;
        if (yk_is_float(format)) {
          for (size_t k = 0; k < n; k++)
            block[k] = float_element(format, panel, (b * YK_BLOCK + k) * YK_PANEL + lane);
        } else {
          yk_unpack_block(format, panel, &l, lane, b, block);
        }
        for (size_t k = 0; k < n; k++) sum = fma32(block[k], x[b * YK_BLOCK + k], sum);
      }
      y[p * YK_PANEL + lane] = sum;
    }
  }
}

// One output of one token of a tile: the blocks in index order.
static float packed_dot(yk_format format, const uint8_t *panel, const yk_panel_layout *l,
                        size_t lane, size_t columns, yk_tile16 x, size_t stride, size_t token) {
  size_t parts = format == YK_Q6_K ? 2 : 1;
  float sum = 0;
  for (size_t b = 0; b < columns / YK_BLOCK; b++) {
    float scale, minimum = 0;
    for (size_t half = 0; half < parts; half++) {
      int32_t dot = 0;
      for (size_t s = half; s < YK_STEPS; s += parts) {
        size_t k = yk_step_column(s);
        int32_t pair = x.codes[(b * stride + token) * YK_STEPS + s];
        dot += signed_code(format, panel, l, b, k, lane) * (int16_t)(pair & 0xFFFF);
        dot += signed_code(format, panel, l, b, k + 2, lane) * (pair >> 16);
      }
      block_scales(format, panel, l, b, half, lane, &scale, &minimum);
      sum = fma32(scale * x.scale[b * stride + token], (float)dot, sum);
    }
    if (yk_has_minimum(format)) sum = fma32(minimum, x.sum[b * stride + token], sum);
  }
  return sum;
}

static void few_float(yk_format format, const uint8_t *panels, size_t count, size_t columns,
                      const float *tile, size_t stride, size_t tokens, float *y,
                      size_t y_stride) {
  yk_panel_layout l = yk_panel_layout_of(format, columns);
  for (size_t i = 0; i < tokens; i++) {
    for (size_t row = 0; row < count * YK_PANEL; row++) {
      const uint8_t *panel = panels + row / YK_PANEL * l.bytes;
      float sum = 0;
      for (size_t k = 0; k < columns; k++)
        sum = fma32(element(format, panel, &l, row % YK_PANEL, k),
                    tile[(k / YK_PANEL * stride + i) * YK_PANEL + k % YK_PANEL], sum);
      y[i * y_stride + row] = sum;
    }
  }
}

static void few_int16(yk_format format, const uint8_t *panels, size_t count, size_t columns,
                      yk_tile16 tile, size_t stride, size_t tokens, float *y, size_t y_stride) {
  yk_panel_layout l = yk_panel_layout_of(format, columns);
  for (size_t i = 0; i < tokens; i++)
    for (size_t row = 0; row < count * YK_PANEL; row++)
      y[i * y_stride + row] = packed_dot(format, panels + row / YK_PANEL * l.bytes, &l,
                                         row % YK_PANEL, columns, tile, stride, i);
}

// One token is a tile of one.
static void matvec_int16(yk_format format, const uint8_t *panels, size_t count, size_t columns,
                         yk_tile16 x, float *y) {
  few_int16(format, panels, count, columns, x, 1, 1, y, 0);
}

static void rms_norm(const float *x, const float *weight, float epsilon, size_t n, float *y) {
  float r = 1.0f / __builtin_sqrtf(square_sum(x, 0.0f, n) / (float)n + epsilon);
  for (size_t i = 0; i < n; i++) y[i] = x[i] * r * weight[i];
}

static void layer_norm(const float *x, const float *weight, const float *bias, float epsilon,
                       size_t n, float *y) {
  float lane[16] = {0};
  for (size_t i = 0; i < n; i++) lane[i % 16] = lane[i % 16] + x[i];
  float mean = tree16(lane) / (float)n;
  float r = 1.0f / __builtin_sqrtf(square_sum(x, mean, n) / (float)n + epsilon);
  for (size_t i = 0; i < n; i++)
    y[i] = fma32((x[i] - mean) * r, weight[i], bias ? bias[i] : 0.0f);
}

static void add(const float *a, const float *b, size_t n, float *y) {
  for (size_t i = 0; i < n; i++) y[i] = a[i] + b[i];
}

static void swiglu(const float *gate, const float *up, size_t n, float *y) {
  for (size_t i = 0; i < n; i++) y[i] = gate[i] / (1.0f + exponential1(-gate[i])) * up[i];
}

static void rotate(float *first, float *second, float c, float s) {
  float a = *first, b = *second, bs = b * s, as = a * s;
  *first = fma32(a, c, -bs);
  *second = fma32(b, c, as);
}

static void rope_half(float *x, const float *cosine, const float *sine, size_t n) {
  for (size_t i = 0; i < n / 2; i++) rotate(x + i, x + i + n / 2, cosine[i], sine[i]);
}

static void rope_interleaved(float *x, const float *cosine, const float *sine, size_t n) {
  for (size_t i = 0; i < n / 2; i++) rotate(x + 2 * i, x + 2 * i + 1, cosine[i], sine[i]);
}

static float maximum(const float *x, size_t n) {
  float m = -__builtin_inff();
  for (size_t i = 0; i < n; i++) m = x[i] > m ? x[i] : m;
  return m;
}

static size_t argmax(const float *x, size_t n) {
  float m = maximum(x, n);
  for (size_t i = 0; i < n; i++)
    if (x[i] == m) return i;
  return 0;
}

static float sum_exp(const float *x, float shift, size_t n) {
  float lane[16] = {0};
  for (size_t i = 0; i < n; i++) lane[i % 16] = lane[i % 16] + exponential1(x[i] - shift);
  return tree16(lane);
}

static void softmax(const float *x, size_t n, float *y) {
  float m = maximum(x, n), sum = sum_exp(x, m, n);
  for (size_t i = 0; i < n; i++) y[i] = exponential1(x[i] - m) / sum;
}

size_t yk_attention_scratch(size_t query_count, size_t group, size_t head_dimension) {
  size_t D = head_dimension, queries = query_count * group, rows = YK_ATTENTION_ROWS;
  size_t few = queries * YK_KEY_TILE + 2 * queries;       // probabilities, running maximum and sum
  size_t block = rows * (2 * D + YK_KEY_TILE + 1);        // queries turned, out; weights; factors
  return 2 * YK_KEY_TILE * D + (few > block ? few : block) + 64;  // a tile's keys and values, widened
}

static float kv_value(yk_kv_type type, const uint8_t *p, size_t i, float scale) {
  if (type == YK_KV_F16) return yk_half_to_float(load16(p + 2 * i));
  if (type == YK_KV_Q8) return scale * (float)(int8_t)p[i];
  float f;
  memcpy(&f, p + 4 * i, 4);
  return f;
}

static void attention(const yk_attention_job *job) {
  size_t D = job->head_dimension;
  for (size_t q = 0; q < job->query_count * job->group; q++) {
    size_t t = q / job->group, h = q % job->group, position = job->first_position + t;
    const float *query = job->queries + t * job->query_stride + h * D;
    float *out = job->out + t * job->out_stride + h * D;
    size_t first = job->window && position + 1 > job->window ? position + 1 - job->window : 0;
    float m = -__builtin_inff(), sum = 0;
    for (size_t d = 0; d < D; d++) out[d] = 0;
    for (size_t tile = first / YK_KEY_TILE; tile <= position / YK_KEY_TILE; tile++) {
      const uint8_t *base = job->blocks[tile];
      const uint8_t *keys = base + job->key_offset, *values = base + job->value_offset;
      const float *key_scales = (const float *)(const void *)(base + job->key_scale_offset);
      const float *value_scales = (const float *)(const void *)(base + job->value_scale_offset);
      float p[YK_KEY_TILE], best = -__builtin_inff();
      for (size_t j = 0; j < YK_KEY_TILE; j++) {
        size_t key = tile * YK_KEY_TILE + j;
        p[j] = -__builtin_inff();
        if (key < first || key > position) continue;
        float scale = job->type == YK_KV_Q8 ? key_scales[j] : 1.0f, dot = 0;
        for (size_t d = 0; d < D; d++)
          dot = fma32(query[d], kv_value(job->type, keys, d * YK_KEY_TILE + j, scale), dot);
        p[j] = dot * job->scale;
        if (job->slopes) p[j] = fma32(job->slopes[h], (float)((int64_t)key - (int64_t)position), p[j]);
        best = p[j] > best ? p[j] : best;
      }
      float next = best > m ? best : m, correction = exponential1(m - next), lane[16];
      for (size_t j = 0; j < YK_KEY_TILE; j++) p[j] = exponential1(p[j] - next);
      for (size_t j = 0; j < 16; j++) lane[j] = p[j] + p[j + 16];
      sum = fma32(sum, correction, tree16(lane));
      m = next;
      for (size_t d = 0; d < D; d++) {
        float o = out[d] * correction;
        for (size_t j = 0; j < YK_KEY_TILE; j++) {
          size_t key = tile * YK_KEY_TILE + j;
          if (key < first || key > position) continue;
          float scale = job->type == YK_KV_Q8 ? value_scales[j] : 1.0f;
          o = fma32(p[j], kv_value(job->type, values, j * D + d, scale), o);
        }
        out[d] = o;
      }
    }
    for (size_t d = 0; d < D; d++) out[d] = out[d] / sum;
  }
}

static float quantize8(const float *x, size_t n, int8_t *out, size_t out_stride) {
  float largest = 0;
  for (size_t i = 0; i < n; i++) {
    float magnitude = __builtin_fabsf(x[i]);
    largest = magnitude > largest ? magnitude : largest;
  }
  float inverse = largest < 1e-30f ? 0.0f : 127.0f / largest;
  for (size_t i = 0; i < n; i++) {
    float code = rounded(x[i] * inverse);
    out[i * out_stride] = code == code ? (int8_t)code : 0;
  }
  return largest < 1e-30f ? 0.0f : largest / 127.0f;
}

void yk_store_kv(yk_kv_type type, const float *key, const float *value, size_t head_dimension,
                 size_t slot, uint8_t *keys, uint8_t *values, float *key_scales,
                 float *value_scales) {
  size_t D = head_dimension;
  if (type == YK_KV_Q8) {
    key_scales[slot] = quantize8(key, D, (int8_t *)keys + slot, YK_KEY_TILE);
    value_scales[slot] = quantize8(value, D, (int8_t *)values + slot * D, 1);
    return;
  }
  for (size_t d = 0; d < D; d++) {
    if (type == YK_KV_F32) {
      memcpy(keys + 4 * (d * YK_KEY_TILE + slot), key + d, 4);
      memcpy(values + 4 * (slot * D + d), value + d, 4);
    } else {
      uint16_t k = yk_float_to_half(key[d]), v = yk_float_to_half(value[d]);
      memcpy(keys + 2 * (d * YK_KEY_TILE + slot), &k, 2);
      memcpy(values + 2 * (slot * D + d), &v, 2);
    }
  }
}

static double burn_fma(size_t iterations, float *sink) {
  float a[8] = {0, 1, 2, 3, 4, 5, 6, 7};
  for (size_t i = 0; i < iterations; i++)
    for (int j = 0; j < 8; j++) a[j] = fma32(a[j], 0.999f, 0.001f);
  for (int j = 0; j < 8; j++) *sink += a[j];
  return 16.0 * (double)iterations;
}

static float read_sum(const float *x, size_t n) {
  float lane[16] = {0};
  for (size_t i = 0; i < n; i++) lane[i % 16] += x[i];
  return tree16(lane);
}

const yk_kernels yk_scalar_kernels = {
    YK_ISA_SCALAR, "scalar", 4, 1, 4, 256, 4, 4,
    tile_float_pack, tile_int16_pack, expand_float, expand_int16, product_float,
    product_across, matmul_int16,
    matvec_float, matvec_int16, few_float_pack, few_int16_pack, few_float, few_int16,
    rms_norm, layer_norm, add, swiglu, rope_half, rope_interleaved,
    exponential, maximum, argmax, sum_exp, softmax, yk_sampling_exp, yk_key_range,
    attention, yk_store_kv, burn_fma, read_sum,
    yk_strip_pack, yk_panel_transpose, yk_gelu_rows, yk_gelu_gradient, yk_swiglu_gradient,
    yk_softmax_gradient, yk_rms_norm_gradient, yk_layer_norm_gradient, yk_norm_weight_gradient,
    yk_bias_gradient, yk_attention_tile_pack, yk_attention_statistics, yk_attention_gradient};

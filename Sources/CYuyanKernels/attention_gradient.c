// The specification of attention's gradients: docs/numerics.md, "Gradients".

#include "scalar_math.h"

#pragma STDC FP_CONTRACT OFF

static size_t padded(size_t head_dimension) { return (head_dimension + 15) / 16 * 16; }

size_t yk_attention_gradient_tile(size_t head_dimension) {
  return YK_KEY_TILE * (2 * head_dimension + padded(head_dimension));
}

size_t yk_attention_gradient_scratch(size_t head_dimension) {
  size_t D = head_dimension, P = padded(D), rows = YK_ATTENTION_ROWS;
  return 2 * D * rows + 3 * rows * P       // queries and the output's gradient, both ways round
         + 3 * YK_KEY_TILE * rows          // scores, their gradient, that turned
         + 5 * rows                        // statistics, slopes and positions
         + 2 * yk_gradient_keys(P) * P;    // gradients of keys and values
}

void yk_attention_tile_pack(const float *keys, const float *values, size_t key_stride,
                            size_t count, size_t head_dimension, float *tile) {
  size_t D = head_dimension;
  float *k = tile, *v = k + D * YK_KEY_TILE, *rows = v + D * YK_KEY_TILE;
  for (size_t j = 0; j < YK_KEY_TILE; j++) {
    for (size_t d = 0; d < D; d++) {
      k[d * YK_KEY_TILE + j] = j < count ? keys[j * key_stride + d] : 0.0f;
      v[d * YK_KEY_TILE + j] = j < count ? values[j * key_stride + d] : 0.0f;
    }
    for (size_t d = 0; d < padded(D); d++)
      rows[j * padded(D) + d] = j < count && d < D ? keys[j * key_stride + d] : 0.0f;
  }
}

// Whether the query at `position` sees the key there.
static int sees(const yk_attention_gradient_job *job, size_t position, size_t key) {
  return key <= position && !(job->window && key + job->window <= position);
}

static const float *tile_of(const yk_attention_gradient_job *job, size_t start) {
  return job->tiles + start / YK_KEY_TILE * yk_attention_gradient_tile(job->head_dimension);
}

static float dot(const float *row, const float *columns, size_t D) {
  float sum = 0;
  for (size_t d = 0; d < D; d++) sum = fma32(row[d], columns[d * YK_KEY_TILE], sum);
  return sum;
}

// The score of the attention itself, to the bit.
static float score(const yk_attention_gradient_job *job, size_t t, size_t h, size_t key) {
  size_t D = job->head_dimension, start = key / YK_KEY_TILE * YK_KEY_TILE;
  const float *query = job->queries + t * job->query_stride + h * D;
  float s = dot(query, tile_of(job, start) + (key - start), D) * job->scale;
  if (job->slopes) s = fma32(job->slopes[h], (float)((int64_t)key - (int64_t)t), s);
  return s;
}

void yk_attention_statistics(const yk_attention_gradient_job *job) {
  size_t D = job->head_dimension;
  for (size_t t = job->first_query; t < job->end_query; t++) {
    for (size_t h = 0; h < job->group; h++) {
      float m = -__builtin_inff(), sum = 0, lane[16];
      for (size_t start = 0; start <= t; start += YK_KEY_TILE) {
        if (!sees(job, t, start + YK_KEY_TILE - 1 < t ? start + YK_KEY_TILE - 1 : t)) continue;
        float p[YK_KEY_TILE], best = -__builtin_inff();
        for (size_t j = 0; j < YK_KEY_TILE; j++) {
          p[j] = sees(job, t, start + j) ? score(job, t, h, start + j) : -__builtin_inff();
          best = p[j] > best ? p[j] : best;
        }
        float next = best > m ? best : m, correction = exponential1(m - next);
        for (size_t j = 0; j < YK_KEY_TILE; j++) p[j] = exponential1(p[j] - next);
        for (size_t j = 0; j < 16; j++) lane[j] = p[j] + p[j + 16];
        sum = fma32(sum, correction, tree16(lane));
        m = next;
      }
      const float *out = job->out + t * job->query_stride + h * D;
      const float *dy = job->out_gradient + t * job->query_stride + h * D;
      for (size_t i = 0; i < 16; i++) lane[i] = 0;
      for (size_t d = 0; d < D; d++) lane[d % 16] = fma32(dy[d], out[d], lane[d % 16]);
      float *statistics = job->statistics + t * job->statistics_stride + 3 * h;
      statistics[0] = m;
      statistics[1] = 1.0f / sum;
      statistics[2] = tree16(lane);
    }
  }
}

// One query's share of one tile.
static void query_tile(const yk_attention_gradient_job *job, size_t t, size_t h, size_t start) {
  size_t D = job->head_dimension, at = t * job->query_stride + h * D;
  const float *query = job->queries + at, *dy = job->out_gradient + at;
  const float *statistics = job->statistics + t * job->statistics_stride + 3 * h;
  const float *k = tile_of(job, start), *v = k + D * YK_KEY_TILE;
  for (size_t j = 0; j < YK_KEY_TILE && start + j < job->end_key; j++) {
    size_t key = start + j;
    float p = 0, ds = 0;
    if (sees(job, t, key)) {
      p = exponential1(score(job, t, h, key) - statistics[0]) * statistics[1];
      ds = (p * (dot(dy, v + j, D) - statistics[2])) * job->scale;
    }
    if (job->key_gradient) {
      float *dk = job->key_gradient + key * job->key_stride;
      float *dv = job->value_gradient + key * job->key_stride;
      for (size_t d = 0; d < D; d++) {
        dk[d] = fma32(ds, query[d], dk[d]);
        dv[d] = fma32(p, dy[d], dv[d]);
      }
    }
    if (job->query_gradient) {
      float *dq = job->query_gradient + at;
      for (size_t d = 0; d < D; d++) dq[d] = fma32(ds, k[d * YK_KEY_TILE + j], dq[d]);
    }
  }
}

void yk_attention_gradient(const yk_attention_gradient_job *job) {
  size_t D = job->head_dimension;
  if (job->query_gradient)
    for (size_t t = job->first_query; t < job->end_query; t++)
      memset(job->query_gradient + t * job->query_stride, 0, job->group * D * sizeof(float));
  if (job->key_gradient)
    for (size_t j = job->first_key; j < job->end_key; j++) {
      memset(job->key_gradient + j * job->key_stride, 0, D * sizeof(float));
      memset(job->value_gradient + j * job->key_stride, 0, D * sizeof(float));
    }
  for (size_t start = job->first_key; start < job->end_key; start += YK_KEY_TILE)
    for (size_t t = yk_tile_first_query(job, start); t < yk_tile_end_query(job, start); t++)
      for (size_t h = 0; h < job->group; h++) query_tile(job, t, h, start);
}

// NF4 and FP4: blocks of 64 weights as 4-bit indices into 16 numbers, times the block's largest
// magnitude; that number itself perhaps an 8-bit index, with a scale for each 256 blocks.
//
// Dettmers et al., "QLoRA: Efficient Finetuning of Quantized LLMs", arXiv:2305.14314, and the tables of
// bitsandbytes, whose tensors these are. A panel holds 16 rows: of each 8 columns one 32-bit word a
// row, the first column in the lowest bits; then the rows' scales, a vector of 16 for each block.

#include "internal.h"

#pragma STDC FP_CONTRACT OFF

static const float nf4[16] = {
    -1.0f, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f,
    -0.28444138169288635f, -0.18477343022823334f, -0.09105003625154495f, 0.0f,
    0.07958029955625534f, 0.16093020141124725f, 0.24611230194568634f, 0.33791524171829224f,
    0.44070982933044434f, 0.5626170039176941f, 0.7229568362236023f, 1.0f};

// In the order of their bits: a sign, two bits of exponent, one of mantissa, over twelve.
static const float fp4[16] = {
    0.0f, 0.0625f / 12, 8.0f / 12, 1.0f, 4.0f / 12, 6.0f / 12, 2.0f / 12, 3.0f / 12,
    0.0f, -0.0625f / 12, -8.0f / 12, -1.0f, -4.0f / 12, -6.0f / 12, -2.0f / 12, -3.0f / 12};

// The indices of `fp4` in ascending order of its numbers, the zero of index 0 first.
static const uint8_t fp4_order[16] = {11, 10, 13, 12, 15, 14, 9, 0, 8, 1, 6, 7, 4, 5, 2, 3};

// 8-bit numbers for scales: seven decades with 1, 2, 4, ... parts each, of both signs.
static const float dynamic_map[256] = {
    -0x1.fc6666p-1f, -0x1.f53334p-1f, -0x1.eep-1f, -0x1.e6ccccp-1f, -0x1.df999ap-1f,
    -0x1.d86666p-1f, -0x1.d13334p-1f, -0x1.cap-1f, -0x1.c2ccccp-1f, -0x1.bb999ap-1f,
    -0x1.b46666p-1f, -0x1.ad3334p-1f, -0x1.a6p-1f, -0x1.9eccccp-1f, -0x1.97999ap-1f,
    -0x1.906666p-1f, -0x1.893334p-1f, -0x1.82p-1f, -0x1.7accccp-1f, -0x1.73999ap-1f,
    -0x1.6c6668p-1f, -0x1.653334p-1f, -0x1.5ep-1f, -0x1.56ccccp-1f, -0x1.4f999ap-1f,
    -0x1.486668p-1f, -0x1.413334p-1f, -0x1.3ap-1f, -0x1.32ccccp-1f, -0x1.2b999ap-1f,
    -0x1.246668p-1f, -0x1.1d3334p-1f, -0x1.16p-1f, -0x1.0eccccp-1f, -0x1.079998p-1f,
    -0x1.006666p-1f, -0x1.f26664p-2f, -0x1.e4p-2f, -0x1.d59998p-2f, -0x1.c73334p-2f,
    -0x1.b8ccccp-2f, -0x1.aa6666p-2f, -0x1.9cp-2f, -0x1.8d9998p-2f, -0x1.7f3334p-2f,
    -0x1.70ccccp-2f, -0x1.626666p-2f, -0x1.54p-2f, -0x1.459998p-2f, -0x1.373334p-2f,
    -0x1.28ccccp-2f, -0x1.1a6668p-2f, -0x1.0cp-2f, -0x1.fb3332p-3f, -0x1.de6666p-3f,
    -0x1.c1999ap-3f, -0x1.a4ccccp-3f, -0x1.88p-3f, -0x1.6b3334p-3f, -0x1.4e6666p-3f,
    -0x1.31999ap-3f, -0x1.14ccccp-3f, -0x1.fp-4f, -0x1.b66668p-4f, -0x1.93d70ap-4f,
    -0x1.8851eep-4f, -0x1.7ccccep-4f, -0x1.7147aep-4f, -0x1.65c29p-4f, -0x1.5a3d7p-4f,
    -0x1.4eb854p-4f, -0x1.433334p-4f, -0x1.37ae14p-4f, -0x1.2c28f6p-4f, -0x1.20a3d6p-4f,
    -0x1.151ebap-4f, -0x1.09999ap-4f, -0x1.fc28f6p-5f, -0x1.e51ebap-5f, -0x1.ce147ap-5f,
    -0x1.b70a3ep-5f, -0x1.ap-5f, -0x1.88f5c2p-5f, -0x1.71eb86p-5f, -0x1.5ae146p-5f,
    -0x1.43d70ap-5f, -0x1.2ccccep-5f, -0x1.15c29p-5f, -0x1.fd70a4p-6f, -0x1.cf5c2ap-6f,
    -0x1.a147aep-6f, -0x1.733334p-6f, -0x1.451ebap-6f, -0x1.170a3ep-6f, -0x1.d1eb86p-7f,
    -0x1.75c29p-7f, -0x1.3e76c8p-7f, -0x1.2c083p-7f, -0x1.19999ap-7f, -0x1.072b02p-7f,
    -0x1.e978d4p-8f, -0x1.c49ba6p-8f, -0x1.9fbe76p-8f, -0x1.7ae148p-8f, -0x1.56041ap-8f,
    -0x1.3126e8p-8f, -0x1.0c49bap-8f, -0x1.ced914p-9f, -0x1.851eb8p-9f, -0x1.3b645ap-9f,
    -0x1.e353f8p-10f, -0x1.4fdf3ap-10f, -0x1.eecbfep-11f, -0x1.b3d07cp-11f, -0x1.78d5p-11f,
    -0x1.3dd982p-11f, -0x1.02de02p-11f, -0x1.8fc506p-12f, -0x1.19ce0ap-12f, -0x1.47ae16p-13f,
    -0x1.743e96p-14f, -0x1.15df66p-14f, -0x1.6f0068p-15f, -0x1.64840cp-16f, -0x1.040bfep-17f,
    -0x1.b43528p-19f, -0x1.27476ep-21f, 0.0f, 0x1.27476ep-21f, 0x1.b43528p-19f, 0x1.040bfep-17f,
    0x1.64840cp-16f, 0x1.6f0068p-15f, 0x1.15df66p-14f, 0x1.743e96p-14f, 0x1.47ae16p-13f,
    0x1.19ce0ap-12f, 0x1.8fc506p-12f, 0x1.02de02p-11f, 0x1.3dd982p-11f, 0x1.78d5p-11f,
    0x1.b3d07cp-11f, 0x1.eecbfep-11f, 0x1.4fdf3ap-10f, 0x1.e353f8p-10f, 0x1.3b645ap-9f,
    0x1.851eb8p-9f, 0x1.ced914p-9f, 0x1.0c49bap-8f, 0x1.3126e8p-8f, 0x1.56041ap-8f,
    0x1.7ae148p-8f, 0x1.9fbe76p-8f, 0x1.c49ba6p-8f, 0x1.e978d4p-8f, 0x1.072b02p-7f,
    0x1.19999ap-7f, 0x1.2c083p-7f, 0x1.3e76c8p-7f, 0x1.75c29p-7f, 0x1.d1eb86p-7f, 0x1.170a3ep-6f,
    0x1.451ebap-6f, 0x1.733334p-6f, 0x1.a147aep-6f, 0x1.cf5c2ap-6f, 0x1.fd70a4p-6f, 0x1.15c29p-5f,
    0x1.2ccccep-5f, 0x1.43d70ap-5f, 0x1.5ae146p-5f, 0x1.71eb86p-5f, 0x1.88f5c2p-5f, 0x1.ap-5f,
    0x1.b70a3ep-5f, 0x1.ce147ap-5f, 0x1.e51ebap-5f, 0x1.fc28f6p-5f, 0x1.09999ap-4f,
    0x1.151ebap-4f, 0x1.20a3d6p-4f, 0x1.2c28f6p-4f, 0x1.37ae14p-4f, 0x1.433334p-4f,
    0x1.4eb854p-4f, 0x1.5a3d7p-4f, 0x1.65c29p-4f, 0x1.7147aep-4f, 0x1.7ccccep-4f, 0x1.8851eep-4f,
    0x1.93d70ap-4f, 0x1.b66668p-4f, 0x1.fp-4f, 0x1.14ccccp-3f, 0x1.31999ap-3f, 0x1.4e6666p-3f,
    0x1.6b3334p-3f, 0x1.88p-3f, 0x1.a4ccccp-3f, 0x1.c1999ap-3f, 0x1.de6666p-3f, 0x1.fb3332p-3f,
    0x1.0cp-2f, 0x1.1a6668p-2f, 0x1.28ccccp-2f, 0x1.373334p-2f, 0x1.459998p-2f, 0x1.54p-2f,
    0x1.626666p-2f, 0x1.70ccccp-2f, 0x1.7f3334p-2f, 0x1.8d9998p-2f, 0x1.9cp-2f, 0x1.aa6666p-2f,
    0x1.b8ccccp-2f, 0x1.c73334p-2f, 0x1.d59998p-2f, 0x1.e4p-2f, 0x1.f26664p-2f, 0x1.006666p-1f,
    0x1.079998p-1f, 0x1.0eccccp-1f, 0x1.16p-1f, 0x1.1d3334p-1f, 0x1.246668p-1f, 0x1.2b999ap-1f,
    0x1.32ccccp-1f, 0x1.3ap-1f, 0x1.413334p-1f, 0x1.486668p-1f, 0x1.4f999ap-1f, 0x1.56ccccp-1f,
    0x1.5ep-1f, 0x1.653334p-1f, 0x1.6c6668p-1f, 0x1.73999ap-1f, 0x1.7accccp-1f, 0x1.82p-1f,
    0x1.893334p-1f, 0x1.906666p-1f, 0x1.97999ap-1f, 0x1.9eccccp-1f, 0x1.a6p-1f, 0x1.ad3334p-1f,
    0x1.b46666p-1f, 0x1.bb999ap-1f, 0x1.c2ccccp-1f, 0x1.cap-1f, 0x1.d13334p-1f, 0x1.d86666p-1f,
    0x1.df999ap-1f, 0x1.e6ccccp-1f, 0x1.eep-1f, 0x1.f53334p-1f, 0x1.fc6666p-1f, 0x1p0f};

const float *yk_code4_table(yk_format format) {
  return format == YK_NF4 || format == YK_NF4_NESTED ? nf4 : fp4;
}

const float *yk_dynamic_map(void) { return dynamic_map; }

size_t yk_nested_rows(size_t columns) {
  // A row's blocks may begin anywhere inside a group of 256.
  return (columns / YK_CODE4_BLOCK + 255) / 256 + 1;
}

size_t yk_code4_row_bytes(yk_format format, size_t columns) {
  size_t blocks = columns / YK_CODE4_BLOCK;
  if (!yk_is_nested(format)) return blocks * 36;
  return 8 + 4 * yk_nested_rows(columns) + blocks * 33;
}

yk_panel_layout yk_code4_layout(yk_format format, size_t columns) {
  yk_panel_layout l = {0, 0, 0, 0, 0, 0};
  size_t blocks = columns / YK_CODE4_BLOCK;
  l.scale = columns / 8 * 64;
  l.minimum = l.scale + 64 * (yk_is_nested(format) ? yk_nested_rows(columns) : blocks);
  l.sub_minimum = l.minimum + (yk_is_nested(format) ? 64 : 0);
  l.sub_scale = l.sub_minimum + (yk_is_nested(format) ? 64 : 0);
  l.bytes = (l.sub_scale + (yk_is_nested(format) ? blocks * YK_PANEL : 0) + 63) / 64 * 64;
  return l;
}

void yk_pack_code4_row(yk_format format, const uint8_t *row, size_t columns,
                       const yk_panel_layout *l, size_t lane, uint8_t *panel) {
  size_t header = 4;
  if (yk_is_nested(format)) {
    memcpy(panel + l->sub_minimum + 4 * lane, row, 4);
    memcpy(panel + l->minimum + 4 * lane, row + 4, 4);
    row += 8;
    for (size_t i = 0; i < yk_nested_rows(columns); i++, row += 4)
      memcpy(panel + l->scale + 64 * i + 4 * lane, row, 4);
    header = 1;
  }
  for (size_t b = 0; b < columns / YK_CODE4_BLOCK; b++) {
    if (yk_is_nested(format)) panel[l->sub_scale + b * YK_PANEL + lane] = row[0];
    else memcpy(panel + l->scale + 64 * b + 4 * lane, row, 4);
    row += header;
    for (size_t w = 0; w < 8; w++, row += 4) {
      // The first of two weights lies in the upper half of a byte; here it goes to the lower.
      uint32_t word;
      memcpy(&word, row, 4);
      word = (word & 0x0F0F0F0Fu) << 4 | (word >> 4 & 0x0F0F0F0Fu);
      memcpy(panel + 64 * (8 * b + w) + 4 * lane, &word, 4);
    }
  }
}

float yk_code4_scale(yk_format format, const uint8_t *panel, const yk_panel_layout *l, size_t lane,
                     size_t block) {
  float scale, offset;
  if (!yk_is_nested(format)) {
    memcpy(&scale, panel + l->scale + 64 * block + 4 * lane, 4);
    return scale;
  }
  int32_t phase;
  memcpy(&phase, panel + l->sub_minimum + 4 * lane, 4);
  memcpy(&offset, panel + l->minimum + 4 * lane, 4);
  memcpy(&scale, panel + l->scale + 64 * (((size_t)phase + block) / 256) + 4 * lane, 4);
  float product = dynamic_map[panel[l->sub_scale + block * YK_PANEL + lane]] * scale;
  return product + offset;
}

float yk_code4_value(yk_format format, const uint8_t *panel, const yk_panel_layout *l, size_t lane,
                     size_t column) {
  uint32_t word;
  memcpy(&word, panel + column / 8 * 64 + 4 * lane, 4);
  return yk_code4_table(format)[word >> (4 * (column % 8)) & 15] *
         yk_code4_scale(format, panel, l, lane, column / YK_CODE4_BLOCK);
}

size_t yk_quantize_code4(yk_format format, const float *x, size_t blocks, uint8_t *nibbles,
                         float *scales) {
  const float *table = yk_code4_table(format);
  int is_nf4 = table == nf4;
  float bound[15];
  for (int j = 0; j < 15; j++) {
    float low = is_nf4 ? nf4[j] : fp4[fp4_order[j]];
    float high = is_nf4 ? nf4[j + 1] : fp4[fp4_order[j + 1]];
    bound[j] = (low + high) / 2;
  }
  for (size_t b = 0; b < blocks; b++, x += YK_CODE4_BLOCK, nibbles += YK_CODE4_BLOCK / 2) {
    int32_t magnitude[YK_CODE4_BLOCK], largest = 0;
    memcpy(magnitude, x, sizeof magnitude);
    for (int i = 0; i < YK_CODE4_BLOCK; i++) {
      int32_t bits = magnitude[i] & 0x7FFFFFFF;
      largest = bits > largest ? bits : largest;
    }
    if (largest >= 0x7F800000) return b;
    float maximum;
    memcpy(&maximum, &largest, 4);
    float inverse = 1.0f / (maximum < 1e-38f ? 1e-38f : maximum);
    int32_t code[YK_CODE4_BLOCK];
    for (int i = 0; i < YK_CODE4_BLOCK; i++) {
      float value = x[i] * inverse;
      int32_t above = 0;
      for (int j = 0; j < 15; j++) above += value > bound[j];
      code[i] = above;
    }
    if (!is_nf4)
      for (int i = 0; i < YK_CODE4_BLOCK; i++) code[i] = fp4_order[code[i]];
    for (int i = 0; i < YK_CODE4_BLOCK / 2; i++)
      nibbles[i] = (uint8_t)(code[2 * i] << 4 | code[2 * i + 1]);
    scales[b] = maximum;
  }
  return blocks;
}

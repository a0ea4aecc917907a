// Block formats: from a checkpoint's rows to panels of 16 interleaved rows, and back.
//
// A panel keeps every bit of the block format, re-ordered: for each block of 32 columns the 16 rows'
// codes lie side by side, so that one vector load holds the same columns of 16 rows. Which columns
// share a vector was chosen so that packing mostly moves whole 32-bit words (yk_step_column).

#include "internal.h"

#pragma STDC FP_CONTRACT OFF

float yk_half_to_float(uint16_t h) {
  uint32_t sign = (uint32_t)(h & 0x8000) << 16, magnitude = h & 0x7FFF, bits;
  if (magnitude >= 0x7C00) {
    bits = 0x7F800000 | (magnitude & 0x3FF) << 13;
  } else if (magnitude >= 0x400) {
    bits = (magnitude << 13) + (112u << 23);
  } else {
    float f = (float)magnitude * 0x1p-24f;
    memcpy(&bits, &f, 4);
  }
  bits |= sign;
  float f;
  memcpy(&f, &bits, 4);
  return f;
}

uint16_t yk_float_to_half(float f) {
  uint32_t bits;
  memcpy(&bits, &f, 4);
  uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
  bits &= 0x7FFFFFFF;
  if (bits > 0x7F800000) return sign | 0x7E00;
  if (bits >= 0x477FF000) return sign | 0x7C00;
  if (bits < 0x38800000) {
    float magnitude;
    memcpy(&magnitude, &bits, 4);
    // Adding 0.5 leaves the wanted bits, rounded to nearest even, at the bottom of the mantissa.
    float shifted = magnitude + 0.5f;
    memcpy(&bits, &shifted, 4);
    return sign | (uint16_t)(bits - 0x3F000000);
  }
  bits += 0xFFF + (bits >> 13 & 1);
  return sign | (uint16_t)((bits - (112u << 23)) >> 13);
}

float yk_bfloat_to_float(uint16_t h) {
  uint32_t bits = (uint32_t)h << 16;
  float f;
  memcpy(&f, &bits, 4);
  return f;
}

static size_t rounded64(size_t n) { return (n + 63) / 64 * 64; }

yk_panel_layout yk_panel_layout_of(yk_format format, size_t columns) {
  if (yk_is_code4(format)) return yk_code4_layout(format, columns);
  yk_panel_layout l = {0, 0, 0, 0, 0, 0};
  if (yk_is_float(format)) {
    l.bytes = rounded64(columns * YK_PANEL * (format == YK_F32 ? 4 : 2));
    return l;
  }
  size_t blocks = columns / YK_BLOCK, at = blocks * (yk_has_nibbles(format) ? 256 : 512);
  size_t scale_rows = yk_is_k(format) ? columns / 256 : blocks;
  l.high = at;
  if (yk_has_fifth_bit(format)) at += blocks * 64;
  l.scale = at;
  at += scale_rows * 32;
  l.minimum = at;
  if (yk_has_minimum(format)) at += scale_rows * 32;
  l.sub_scale = at;
  if (yk_is_k(format)) at += blocks * (format == YK_Q6_K ? 32 : 16);
  l.sub_minimum = at;
  if (format == YK_Q4_K || format == YK_Q5_K) at += blocks * 16;
  l.bytes = rounded64(at);
  return l;
}

static uint16_t load16(const uint8_t *p) {
  uint16_t v;
  memcpy(&v, p, 2);
  return v;
}
static uint32_t load32(const uint8_t *p) {
  uint32_t v;
  memcpy(&v, p, 4);
  return v;
}
static uint64_t load64(const uint8_t *p) {
  uint64_t v;
  memcpy(&v, p, 8);
  return v;
}
static void store16(uint8_t *p, uint16_t v) { memcpy(p, &v, 2); }
static void store32(uint8_t *p, uint32_t v) { memcpy(p, &v, 4); }

// Swaps bit index pairs so that bit s holds the first column of step s and bit 16 + s its second:
// index (h j1 j0 e1 e0) becomes (e1 j1 j0 e0 h).
static uint32_t step_ordered(uint32_t bits) {
  uint32_t t = (bits ^ bits >> 14) & 0x0000CCCC;  // exchange index bits 4 and 1
  bits ^= t ^ t << 14;
  t = (bits ^ bits >> 1) & 0x22222222;  // exchange index bits 1 and 0
  return bits ^ t ^ t << 1;
}

// Bit `bit` of each of 32 bytes, gathered into one word.
static uint32_t gathered_bits(const uint8_t *bytes, int bit) {
  uint32_t out = 0;
  for (int i = 0; i < 4; i++) {
    uint64_t ones = load64(bytes + 8 * i) >> bit & 0x0101010101010101u;
    out |= (uint32_t)(ones * 0x0102040810204080u >> 56) << (8 * i);
  }
  return out;
}

static void k_scales(const uint8_t *packed, uint8_t *scale, uint8_t *minimum) {
  for (int j = 0; j < 4; j++) {
    scale[j] = packed[j] & 63;
    minimum[j] = packed[j + 4] & 63;
    scale[j + 4] = (packed[j + 8] & 15) | (packed[j] >> 6) << 4;
    minimum[j + 4] = packed[j + 8] >> 4 | (packed[j + 4] >> 6) << 4;
  }
}

static void pack_float(yk_format format, const uint8_t *const *rows, size_t row_count,
                       size_t columns, uint8_t *panel) {
  enum { STRIP = 64 };
  for (size_t start = 0; start < columns; start += STRIP) {
    size_t end = start + STRIP < columns ? start + STRIP : columns;
    for (size_t r = 0; r < row_count; r++) {
      const uint8_t *row = rows[r];
      if (format == YK_F32) {
        for (size_t k = start; k < end; k++)
          store32(panel + 4 * (k * YK_PANEL + r), load32(row + 4 * k));
      } else {
        for (size_t k = start; k < end; k++)
          store16(panel + 2 * (k * YK_PANEL + r), load16(row + 2 * k));
      }
    }
  }
}

static void pack_simple_row(yk_format format, const uint8_t *row, size_t columns,
                            const yk_panel_layout *l, size_t lane, uint8_t *panel) {
  size_t header = format == YK_Q4_1 || format == YK_Q5_1 ? 4 : 2;
  size_t high = yk_has_fifth_bit(format) ? 4 : 0;
  size_t words = format == YK_Q8_0 ? 8 : 4;
  size_t block_bytes = header + high + 4 * words;
  for (size_t b = 0; b < columns / YK_BLOCK; b++, row += block_bytes) {
    store16(panel + l->scale + 2 * (b * YK_PANEL + lane), load16(row));
    if (header == 4) store16(panel + l->minimum + 2 * (b * YK_PANEL + lane), load16(row + 2));
    if (high)
      store32(panel + l->high + 4 * (b * YK_PANEL + lane), step_ordered(load32(row + header)));
    const uint8_t *codes = row + header + high;
    uint8_t *out = panel + b * words * 64 + 4 * lane;
    for (size_t w = 0; w < words; w++) store32(out + 64 * w, load32(codes + 4 * w));
  }
}

static void pack_k_row(yk_format format, const uint8_t *row, size_t columns,
                       const yk_panel_layout *l, size_t lane, uint8_t *panel) {
  size_t super_bytes = format == YK_Q4_K ? 144 : format == YK_Q5_K ? 176 : 210;
  for (size_t s = 0; s < columns / 256; s++, row += super_bytes) {
    uint8_t *scales = panel + l->scale + 2 * (s * YK_PANEL + lane);
    if (format == YK_Q6_K) {
      store16(scales, load16(row + 208));
      for (size_t i = 0; i < 16; i++)
        panel[l->sub_scale + (s * 16 + i) * YK_PANEL + lane] = row[192 + i];
      int8_t codes[256];
      for (size_t half = 0; half < 2; half++) {
        const uint8_t *low = row + 64 * half, *high = row + 128 + 32 * half;
        int8_t *c = codes + 128 * half;
        for (size_t i = 0; i < 32; i++) {
          c[i] = (int8_t)(((low[i] & 15) | (high[i] & 3) << 4) - 32);
          c[i + 32] = (int8_t)(((low[i + 32] & 15) | (high[i] >> 2 & 3) << 4) - 32);
          c[i + 64] = (int8_t)((low[i] >> 4 | (high[i] >> 4 & 3) << 4) - 32);
          c[i + 96] = (int8_t)((low[i + 32] >> 4 | (high[i] >> 6) << 4) - 32);
        }
      }
      uint8_t *out = panel + s * 8 * 512 + 4 * lane;
      for (size_t w = 0; w < 64; w++)
        store32(out + 64 * w, load32((const uint8_t *)codes + 4 * w));
      continue;
    }
    store16(scales, load16(row));
    store16(panel + l->minimum + 2 * (s * YK_PANEL + lane), load16(row + 2));
    uint8_t scale[8], minimum[8];
    k_scales(row + 4, scale, minimum);
    const uint8_t *fifth = row + 16, *codes = row + (format == YK_Q5_K ? 48 : 16);
    for (size_t i = 0; i < 8; i++) {
      size_t b = s * 8 + i;
      panel[l->sub_scale + b * YK_PANEL + lane] = scale[i];
      panel[l->sub_minimum + b * YK_PANEL + lane] = minimum[i];
      if (format == YK_Q5_K)
        store32(panel + l->high + 4 * (b * YK_PANEL + lane),
                step_ordered(gathered_bits(fifth, (int)i)));
      const uint8_t *bytes = codes + 32 * (i / 2);
      int shift = i & 1 ? 4 : 0;
      for (size_t w = 0; w < 4; w++) {
        uint32_t low = load32(bytes + 4 * w) >> shift & 0x0F0F0F0F;
        uint32_t high = load32(bytes + 16 + 4 * w) >> shift & 0x0F0F0F0F;
        store32(panel + b * 256 + 64 * w + 4 * lane, low | high << 4);
      }
    }
  }
}

void yk_pack_panel(yk_format format, const uint8_t *const *rows, size_t row_count, size_t columns,
                   uint8_t *panel) {
  yk_panel_layout l = yk_panel_layout_of(format, columns);
  if (row_count < YK_PANEL) memset(panel, 0, l.bytes);
  if (yk_is_float(format)) {
    pack_float(format, rows, row_count, columns, panel);
    return;
  }
  for (size_t r = 0; r < row_count; r++) {
    if (yk_is_code4(format)) yk_pack_code4_row(format, rows[r], columns, &l, r, panel);
    else if (yk_is_k(format)) pack_k_row(format, rows[r], columns, &l, r, panel);
    else pack_simple_row(format, rows[r], columns, &l, r, panel);
  }
}

// The stored code of one column, offset not yet subtracted.
static int stored_code(yk_format format, const uint8_t *panel, const yk_panel_layout *l,
                       size_t block, size_t column, size_t lane) {
  if (!yk_has_nibbles(format))
    return (int8_t)panel[block * 512 + 64 * (column / 4) + 4 * lane + column % 4];
  size_t byte = column % 16;
  int code = panel[block * 256 + 64 * (byte / 4) + 4 * lane + byte % 4];
  code = column < 16 ? code & 15 : code >> 4;
  if (yk_has_fifth_bit(format)) {
    uint32_t high = load32(panel + l->high + 4 * (block * YK_PANEL + lane));
    size_t step = (byte / 4) * 4 + 2 * (byte & 1) + (column >= 16);
    code |= (int)(high >> (step + (byte & 2 ? 16 : 0)) & 1) << 4;
  }
  return code;
}

void yk_unpack_block(yk_format format, const uint8_t *panel, const yk_panel_layout *l, size_t lane,
                     size_t b, float *out) {
  if (yk_is_code4(format)) {
    for (size_t k = 0; k < YK_BLOCK; k++)
      out[k] = yk_code4_value(format, panel, l, lane, b * YK_BLOCK + k);
    return;
  }
  size_t row = yk_is_k(format) ? b / 8 : b;
  float scale = yk_half_to_float(load16(panel + l->scale + 2 * (row * YK_PANEL + lane)));
  float minimum = 0;
  if (yk_has_minimum(format))
    minimum = yk_half_to_float(load16(panel + l->minimum + 2 * (row * YK_PANEL + lane)));
  if (format == YK_Q4_K || format == YK_Q5_K) {
    scale = scale * (float)panel[l->sub_scale + b * YK_PANEL + lane];
    minimum = -(minimum * (float)panel[l->sub_minimum + b * YK_PANEL + lane]);
  }
  for (size_t k = 0; k < YK_BLOCK; k++) {
    int code = stored_code(format, panel, l, b, k, lane) - yk_code_offset(format);
    float s = scale;
    if (format == YK_Q6_K)
      s = scale * (float)(int8_t)panel[l->sub_scale + (2 * b + k / 16) * YK_PANEL + lane];
    float product = s * (float)code;
    out[k] = yk_has_minimum(format) ? product + minimum : product;
  }
}

void yk_unpack_row(yk_format format, const uint8_t *panel, size_t lane, size_t columns,
                   float *out) {
  yk_panel_layout l = yk_panel_layout_of(format, columns);
  if (yk_is_float(format)) {
    for (size_t k = 0; k < columns; k++) {
      size_t at = k * YK_PANEL + lane;
      if (format == YK_F32) memcpy(out + k, panel + 4 * at, 4);
      else if (format == YK_F16) out[k] = yk_half_to_float(load16(panel + 2 * at));
      else out[k] = yk_bfloat_to_float(load16(panel + 2 * at));
    }
    return;
  }
  for (size_t b = 0; b < columns / YK_BLOCK; b++)
    yk_unpack_block(format, panel, &l, lane, b, out + b * YK_BLOCK);
}

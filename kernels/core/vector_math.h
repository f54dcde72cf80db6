// exp, sigmoid, softplus and silu without calls or branches, so that the compiler can vectorise
// loops over them (calls of libm's expf stay scalar without -ffast-math). For double they are the
// std:: functions: fp64 is for gradient checks.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace longhaul::core {

/// Within 1.5 ulp over the whole range, denormal results included; exp(-inf) = 0, exp(inf) = inf,
/// NaN stays NaN.
inline float vector_exp(float x) {
  // Beyond these the result is 0 or inf anyway. Written so that NaN passes.
  x = x < -104.0f ? -104.0f : x;
  x = x > 89.0f ? 89.0f : x;
  // x = n ln 2 + r, |r| ≤ ln 2 / 2. Adding 1.5·2^23 rounds to the nearest integer and leaves it in
  // the low bits.
  constexpr float kRound = 12582912.0f;
  const float shifted = std::fma(x, 1.44269504088896341f, kRound);
  const float n = shifted - kRound;
  float r = std::fma(n, -0.693359375f,
                     x);  // ln 2 in two parts (Cody & Waite 1980), the first exact times n
  r = std::fma(n, 2.12194440054690583e-4f, r);
  // Taylor series of (e^r − 1 − r)/r² with the last two coefficients fitted to the interval.
  float p = 1.9875691500e-4f;
  p = std::fma(p, r, 1.3981999507e-3f);
  p = std::fma(p, r, 8.3334519073e-3f);
  p = std::fma(p, r, 4.1665795894e-2f);
  p = std::fma(p, r, 1.6666665459e-1f);
  p = std::fma(p, r, 5.0000001201e-1f);
  const float e = std::fma(p, r * r, r) + 1.0f;
  // Times 2^n in two steps: n reaches −150 and 128, beyond what one exponent holds.
  const int32_t power =
      static_cast<int32_t>(std::bit_cast<uint32_t>(shifted) - std::bit_cast<uint32_t>(kRound));
  const int32_t half = power >> 1;
  const float first = std::bit_cast<float>(static_cast<uint32_t>(half + 127) << 23);
  const float second = std::bit_cast<float>(static_cast<uint32_t>(power - half + 127) << 23);
  return e * first * second;
}
inline double vector_exp(double x) { return std::exp(x); }

/// 1/(1 + e^{−x})
template <class T>
inline T sigmoid(T x) {
  return T(1) / (T(1) + vector_exp(-x));
}

template <class T>
inline T silu(T x) {
  return x * sigmoid(x);
}

/// The derivative of silu at x, given sigmoid(x).
template <class T>
inline T silu_derivative(T x, T sigmoid_of_x) {
  return sigmoid_of_x * (T(1) + x * (T(1) - sigmoid_of_x));
}

/// log(1 + x) for x in [0, 2^100], within 3 ulp.
inline float vector_log1p(float x) {
  const float u = 1.0f + x;
  // u = 2^n m with m in [√½, √2).
  const uint32_t bits = std::bit_cast<uint32_t>(u) - 0x3f3504f3u;  // √½
  const float n = static_cast<float>(static_cast<int32_t>(bits) >> 23);
  const float f = std::bit_cast<float>((bits & 0x007fffffu) + 0x3f3504f3u) - 1.0f;
  // log(1 + f) = f − f²/2 + f³ q(f) (coefficients of Cephes' logf).
  float q = 7.0376836292e-2f;
  q = std::fma(q, f, -1.1514610310e-1f);
  q = std::fma(q, f, 1.1676998740e-1f);
  q = std::fma(q, f, -1.2420140846e-1f);
  q = std::fma(q, f, 1.4249322787e-1f);
  q = std::fma(q, f, -1.6668057665e-1f);
  q = std::fma(q, f, 2.0000714765e-1f);
  q = std::fma(q, f, -2.4999993993e-1f);
  q = std::fma(q, f, 3.3333331174e-1f);
  const float square = f * f;
  float tail = std::fma(q * f, square, n * -2.12194440e-4f);
  tail = std::fma(-0.5f, square, tail);
  tail += (x - (u - 1.0f)) / u;  // what 1 + x lost by rounding
  return std::fma(n, 0.693359375f, f + tail);
}
inline double vector_log1p(double x) { return std::log1p(x); }

/// log(1 + e^x); x itself above 20, where the difference is below the last bit of a float.
template <class T>
inline T softplus(T x) {
  const T bounded = x > T(20) ? T(20) : x;
  const T curved = vector_log1p(vector_exp(bounded));
  return x > T(20) ? x : curved;
}

}  // namespace longhaul::core

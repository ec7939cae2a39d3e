// Loops over small compiled steps; built, and called, by native.py.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

namespace {

template <std::size_t... I>
void call(void* kernel, void** args, std::index_sequence<I...>) {
  using Kernel = void (*)(decltype(static_cast<void>(I), static_cast<void*>(nullptr))...);
  reinterpret_cast<Kernel>(kernel)(args[I]...);
}

// CALLS is defined for each tape: it calls every kernel with its own share of the pointers.
void run(void** kernels, void** args) { CALLS }

// Where the pointers of the things that change from call to call go: `ends` tells where the places
// of each end in `places`, and each place is an argument and an offset in bytes.
struct Slots {
  const int64_t* ends;
  const int64_t* places;
  void** args;

  void put(int64_t slot, const void* x) const {
    for (int64_t i = slot ? ends[slot - 1] : 0; i < ends[slot]; ++i)
      args[places[2 * i]] = const_cast<char*>(static_cast<const char*>(x)) + places[2 * i + 1];
  }
};

double number(const void* x, bool is_double) {
  return is_double ? *static_cast<const double*>(x) : *static_cast<const float*>(x);
}

double rounded(double x, bool is_double) { return is_double ? x : static_cast<float>(x); }

struct Control {
  double direction, min_step, max_step, safety, ifactor, dfactor, exponents[3];
  double keeps_double;  // whether times are kept as float64

  double bounded(double size) const { return std::min(std::max(size, min_step), max_step); }

  double factor(double ratio, const double* earlier) const {
    if (ratio == 0) return ifactor;
    double least = ratio < 1 ? 1.0 : dfactor;
    double most = ratio <= 1 ? ifactor : std::min(ifactor, safety);
    double power = std::pow(ratio, exponents[0]);
    for (int i = 0; i < 2; ++i)
      if (exponents[1 + i] && earlier[i]) power *= std::pow(earlier[i], exponents[1 + i]);
    return std::min(most, std::max(safety / power, least));
  }
};

struct Position {
  double t, size, earlier[2], until, first_side, end_side, was_finite;
};

}  // namespace

extern "C" {

// Takes steps until one would reach `until`, `attempts` run out, or `rows` are full; returns how
// many were accepted. Slots: state, span, first slope; end state, end slope, ratio, stage states.
// A row of the table takes the end state of a step, and the stage states that are kept of it.
int64_t take_steps(
    void** kernels, const int64_t* ends, const int64_t* places, void** args,
    const Control* control, Position* at, const int64_t* kinds, int64_t* attempts,
    const char* y, void* span, char** slopes, void* ratio_at,
    char* table, int64_t state_bytes, int64_t num_kept, int64_t rows, double* taken) {
  Slots slots{ends, places, args};
  const bool span_is_double = kinds[0], ratio_is_double = kinds[1];
  int64_t accepted = 0;
  slots.put(1, span);
  slots.put(5, ratio_at);
  while (accepted < rows && attempts[0] < attempts[1] && at->was_finite) {
    double h = rounded(control->direction * control->bounded(at->size), control->keeps_double);
    double t1 = rounded(at->t + h, control->keeps_double);
    if ((t1 - at->until) * control->direction >= 0 || t1 == at->t) break;
    double first = at->first_side * control->direction, end = at->end_side * control->direction;
    const double numbers[5] = {at->t, h, t1, first, end};
    for (int i = 0; i < 5; ++i)
      if (span_is_double)
        static_cast<double*>(span)[i] = numbers[i];
      else
        static_cast<float*>(span)[i] = static_cast<float>(numbers[i]);
    char* row = table + accepted * (1 + num_kept) * state_bytes;
    slots.put(0, y);
    slots.put(2, slopes[0]);
    slots.put(3, row);
    slots.put(4, slopes[1]);
    for (int64_t i = 0; i < num_kept; ++i) slots.put(6 + i, row + (1 + i) * state_bytes);
    run(kernels, args);
    ++attempts[0];
    double ratio = std::fabs(number(ratio_at, ratio_is_double)), size = std::fabs(h);
    at->was_finite = std::isfinite(ratio);
    if (!at->was_finite) {
      at->size = control->bounded(size * control->dfactor);
      break;
    }
    at->size = control->bounded(size * control->factor(ratio, at->earlier));
    if (!(ratio <= 1 || size <= control->min_step)) continue;
    double* step = taken + 3 * accepted++;
    step[0] = at->t, step[1] = t1, step[2] = h;
    at->earlier[1] = at->earlier[0], at->earlier[0] = ratio;
    at->t = t1, at->first_side = -1;
    y = row;
    std::swap(slopes[0], slopes[1]);
  }
  return accepted;
}

// Carries an adjoint state across steps, from the last to the first, between two places in turn.
// Slots: adjoint state, span, stage states; the adjoint state before.
void cross_steps(
    void** kernels, const int64_t* ends, const int64_t* places, void** args,
    int64_t num_steps, const char* spans, int64_t span_bytes,
    void** states, int64_t num_states, char** adjoint_states) {
  Slots slots{ends, places, args};
  for (int64_t n = num_steps - 1; n >= 0; --n) {
    slots.put(0, adjoint_states[0]);
    slots.put(1, spans + n * span_bytes);
    for (int64_t i = 0; i < num_states; ++i) slots.put(2 + i, states[n * num_states + i]);
    slots.put(2 + num_states, adjoint_states[1]);
    run(kernels, args);
    std::swap(adjoint_states[0], adjoint_states[1]);
  }
}

}  // extern "C"

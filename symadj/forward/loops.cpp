// Loops over small compiled steps; built, and called, by native.py.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

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

template <typename Real>
bool is_finite(const void* x, int64_t n) {
  const Real* numbers = static_cast<const Real*>(x);
  return std::all_of(numbers, numbers + n, [](Real number) { return std::isfinite(number); });
}

double rounded(double x, bool is_double) { return is_double ? x : static_cast<float>(x); }

struct Control {
  double direction, min_step, max_step, safety, ifactor, dfactor, exponents[3];
  double keeps_double;  // whether times are kept as float64
  double rtol, atol, order;

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

// Of the size of the next step: a negative one is still to be chosen.
struct Position {
  double t, size, earlier[2], first_side, end_side, was_finite, is_finite, lacks_slope;
};

// Where a loop may end a step: outputs, and stops at which one has to end, some of them fixed.
struct Goals {
  const double *times, *stops, *is_fixed;
  int64_t num_times, num_stops, first_output;
};

// Returns w(theta), whose coefficients are those of theta, theta^2, ...
double weight_of(const double* coefficients, int64_t num_powers, double theta) {
  double weight = 0, power = 1;
  for (int64_t p = 0; p < num_powers; ++p) power *= theta, weight += coefficients[p] * power;
  return weight;
}

// Writes y + sum of h w_i(theta) k_i.
template <typename Real>
void interpolate(
    void* out, const void* y, const void* const* slopes, const double* coefficients,
    const int64_t* shape, double theta, double h) {
  const int64_t num_slopes = shape[0], num_powers = shape[1], n = shape[2];
  std::vector<double> sums(static_cast<const Real*>(y), static_cast<const Real*>(y) + n);
  for (int64_t j = 0; j < num_slopes; ++j) {
    double weight = h * weight_of(coefficients + j * num_powers, num_powers, theta);
    if (weight)
      for (int64_t i = 0; i < n; ++i) sums[i] += weight * static_cast<const Real*>(slopes[j])[i];
  }
  std::copy(sums.begin(), sums.end(), static_cast<Real*>(out));
}

// Returns the root mean square of (a - b) / (atol + rtol |y|).
template <typename Real>
double scaled_norm(const Control& control, const void* y, const void* a, const void* b, int64_t n) {
  auto at = [](const void* x, int64_t i) -> double {
    return x ? static_cast<const Real*>(x)[i] : 0.0;
  };
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) {
    double x = (at(a, i) - at(b, i)) / (control.atol + control.rtol * std::fabs(at(y, i)));
    sum += x * x;
  }
  return std::sqrt(sum / n);
}

// Returns the size of the first step as `ErrorControl.select_first_step` chooses it, or -1 where y
// or its slope is not finite. `probe(h)` steps from y by h along its slope, and returns the slope there.
template <typename Norm, typename Probe>
double first_size(const Control& control, const void* y, const void* slope, Norm norm, Probe probe) {
  const double d0 = norm(y, y, nullptr), d1 = norm(y, slope, nullptr);
  if (!std::isfinite(d0) || !std::isfinite(d1)) return -1;
  const double h0 = d0 < 1e-5 || d1 < 1e-5 ? 1e-6 : 0.01 * d0 / d1;
  const double d2 = norm(y, probe(control.direction * h0), slope) / h0;
  if (!std::isfinite(d2)) return h0;  // steps are made smaller until f is finite at their ends
  const double h1 = d1 <= 1e-15 && d2 <= 1e-15
      ? std::max(1e-6, h0 * 1e-3)
      : std::pow(0.01 / std::max(d1, d2), 1 / control.order);
  return std::min(100 * h0, h1);
}

template <typename Real>
void go_along(void* out, const void* y, const void* slope, double h, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    static_cast<Real*>(out)[i] =
        static_cast<const Real*>(y)[i] + h * static_cast<const Real*>(slope)[i];
}

// A backward pass: what is known of all its steps. Of each there are the five numbers of its span,
// its size among them, and the first output beyond the step before; of each output its theta.
struct Pass {
  const double *numbers, *thetas, *coefficients;
  const int64_t *outputs, *shares_first_slope;
  const char* cotangents;
  void *span, *shares, **adjoint_states;
  int64_t num_steps, num_states, num_slopes, num_powers, n, span_is_double, state_is_double,
      uses_end_slope;
};

void write_span(void* span, const double* numbers, bool is_double) {
  for (int i = 0; i < 5; ++i)
    if (is_double)
      static_cast<double*>(span)[i] = numbers[i];
    else
      static_cast<float*>(span)[i] = static_cast<float>(numbers[i]);
}

// Of the outputs inside a step: adds to `total` what the cotangent of slope `i` is given by them.
template <typename Real>
void add_share(const Pass& pass, int64_t step, int64_t slope, Real* total) {
  const double h = pass.numbers[5 * step + 1];
  for (int64_t k = pass.outputs[step]; k < pass.outputs[step + 1]; ++k) {
    if (pass.thetas[k] == 1) continue;
    const double* coefficients = pass.coefficients + slope * pass.num_powers;
    const double weight = h * weight_of(coefficients, pass.num_powers, pass.thetas[k]);
    const Real* cotangent = reinterpret_cast<const Real*>(pass.cotangents) + k * pass.n;
    for (int64_t i = 0; i < pass.n; ++i) total[i] += static_cast<Real>(weight * cotangent[i]);
  }
}

// Returns how often the end slope of the step was transposed alone.
template <typename Real>
int64_t cross_step(
    void** kernels, const Slots& slots, const Pass& pass, int64_t step, void** states,
    const void* y_next) {
  const double* numbers = pass.numbers + 5 * step;
  const int64_t n = pass.n, num_states = pass.num_states, num_stages = pass.num_slopes - 1;
  const int64_t begin = pass.outputs[step], end = pass.outputs[step + 1];
  const bool ends_at_output = end > begin && pass.thetas[end - 1] == 1;
  const bool has_inside = end - begin > ends_at_output;
  Real* shares = static_cast<Real*>(pass.shares);
  auto clear = [&] { std::fill(shares, shares + num_stages * n, Real(0)); };
  auto transpose = [&](const double* span) {
    write_span(pass.span, span, pass.span_is_double);
    slots.put(0, pass.adjoint_states[0]);
    slots.put(2 + num_states, pass.adjoint_states[1]);
    run(kernels, slots.args);
    std::swap(pass.adjoint_states[0], pass.adjoint_states[1]);
  };
  auto add = [&](int64_t output) {
    const Real* cotangent = reinterpret_cast<const Real*>(pass.cotangents) + output * n;
    Real* total = static_cast<Real*>(pass.adjoint_states[0]);
    for (int64_t i = 0; i < n; ++i) total[i] += cotangent[i];
  };
  const bool is_last = step + 1 == pass.num_steps;
  const bool pulls_end =
      has_inside && pass.uses_end_slope && (is_last || !pass.shares_first_slope[step + 1]);
  if (pulls_end) {
    // The end slope is nobody else's: a step of no size from there transposes it alone.
    const double nowhere[5] = {numbers[2], 0, numbers[2], numbers[4], numbers[4]};
    clear();
    add_share(pass, step, num_stages, shares);
    for (int64_t i = 0; i < num_states; ++i) slots.put(2 + i, y_next);
    transpose(nowhere);
  }
  if (ends_at_output) add(end - 1);
  if (shares) {
    clear();
    if (has_inside)
      for (int64_t i = 0; i < num_stages; ++i) add_share(pass, step, i, shares + i * n);
    if (step && pass.shares_first_slope[step]) add_share(pass, step - 1, num_stages, shares);
  }
  for (int64_t i = 0; i < num_states; ++i) slots.put(2 + i, states[i]);
  transpose(numbers);
  for (int64_t k = begin; k < end - ends_at_output; ++k) add(k);
  if (!step) add(0);  // the output at the initial time is the initial state
  return pulls_end;
}

}  // namespace

extern "C" {

// Takes steps, and writes the outputs that they pass, and that at the start of all, until the last output is passed, a step would
// end at a fixed stop, attempts run out or rows are full; returns how many were accepted. Without
// room for outputs it goes no further than the first. Slots: state, span, first slope; end state,
// end slope, ratio, stage states. The table takes the first state, then of each step the stage
// states that are kept of it and the state at its end. Noted are the span of each step and the
// first output beyond its start, and of each output its theta.
int64_t take_steps(
    void** kernels, const int64_t* ends, const int64_t* places, void** args,
    const Control* control, Position* at, const int64_t* kinds, int64_t* attempts,
    const char* y, void* span, char** slopes, void* ratio_at,
    char* table, int64_t state_bytes, int64_t num_kept, int64_t rows, double* spans,
    int64_t* firsts, double* thetas, const Goals* goals, char* outputs, const void** inner, const double* coefficients,
    const int64_t* shape) {
  Slots slots{ends, places, args};
  const bool span_is_double = kinds[0], ratio_is_double = kinds[1], state_is_double = kinds[2];
  const double direction = control->direction;
  int64_t accepted = 0, output = goals->first_output, stop = 0;
  auto step = [&](const double* numbers, const char* from, char* row) {
    write_span(span, numbers, span_is_double);
    slots.put(0, from);
    slots.put(2, slopes[0]);
    slots.put(3, row + num_kept * state_bytes);
    slots.put(4, slopes[1]);
    for (int64_t i = 0; i < num_kept; ++i) slots.put(6 + i, row + i * state_bytes);
    run(kernels, args);
  };
  std::copy(y, y + state_bytes, table);
  if (outputs && at->t == goals->times[0]) std::copy(y, y + state_bytes, outputs);
  char* row = table + state_bytes;
  slots.put(1, span);
  slots.put(5, ratio_at);
  if (at->lacks_slope) {  // a step of no size ends where it starts, and its end slope is that there
    const double nowhere[5] = {at->t, 0, at->t, 0, 0};
    std::fill(slopes[0], slopes[0] + state_bytes, 0);
    step(nowhere, y, row);
    std::swap(slopes[0], slopes[1]);
  }
  if (at->size < 0) {
    const int64_t n = shape[2];
    std::vector<char> beyond(state_bytes);
    auto norm = [&](const void* scale, const void* a, const void* b) {
      auto of = state_is_double ? scaled_norm<double> : scaled_norm<float>;
      return of(*control, scale, a, b, n);
    };
    auto probe = [&](double h) -> const void* {
      auto go = state_is_double ? go_along<double> : go_along<float>;
      go(beyond.data(), y, slopes[0], h, n);
      const double there[5] = {at->t + h, 0, at->t + h, 0, 0};
      step(there, beyond.data(), row);
      return slopes[1];
    };
    at->size = first_size(*control, y, slopes[0], norm, probe);
    if (at->size < 0) at->was_finite = 0;  // Python is to say what is wrong
  }
  while (output < goals->num_times && accepted < rows && attempts[0] < attempts[1] &&
         at->was_finite) {
    double h = rounded(direction * control->bounded(at->size), control->keeps_double);
    double t1 = rounded(at->t + h, control->keeps_double);
    while (stop < goals->num_stops && (goals->stops[stop] - at->t) * direction <= 0) ++stop;
    if (stop < goals->num_stops && (t1 - goals->stops[stop]) * direction >= 0) {
      if (goals->is_fixed[stop]) break;
      if (t1 != goals->stops[stop])
        h = rounded(goals->stops[stop] - at->t, control->keeps_double);
      t1 = goals->stops[stop];
    }
    if (t1 == at->t || (!outputs && (t1 - goals->times[output]) * direction >= 0)) break;
    double first = at->first_side * direction, end = at->end_side * direction;
    const double numbers[5] = {at->t, h, t1, first, end};
    step(numbers, y, row);
    char* y1 = row + num_kept * state_bytes;
    ++attempts[0], ++attempts[2];
    double ratio = std::fabs(number(ratio_at, ratio_is_double)), size = std::fabs(h);
    at->was_finite = std::isfinite(ratio);
    if (!at->was_finite) {
      at->size = control->bounded(size * control->dfactor);
      break;
    }
    at->size = control->bounded(size * control->factor(ratio, at->earlier));
    if (!(ratio <= 1 || size <= control->min_step)) continue;
    firsts[accepted] = output;
    for (; output < goals->num_times; ++output) {
      double time = goals->times[output], theta = (time - at->t) / (t1 - at->t);
      if ((time - t1) * h > 0) break;
      char* out = outputs + output * state_bytes;
      attempts[0] = 0;
      theta = thetas[output] = time == t1 ? 1.0 : std::min(theta, std::nextafter(1.0, 0.0));
      if (time == t1) {
        std::copy(y1, y1 + state_bytes, out);
        continue;
      }
      inner[0] = slopes[0], inner[shape[0] - 1] = slopes[1];
      auto write = state_is_double ? interpolate<double> : interpolate<float>;
      write(out, y, inner, coefficients, shape, theta, h);
    }
    std::copy(numbers, numbers + 5, spans + 5 * accepted++);
    at->earlier[1] = at->earlier[0], at->earlier[0] = ratio;
    at->t = t1, at->first_side = -1;
    y = y1, row = y1 + state_bytes;
    std::swap(slopes[0], slopes[1]);
  }
  firsts[accepted] = output;
  at->is_finite = state_is_double ? is_finite<double>(y, shape[2]) : is_finite<float>(y, shape[2]);
  return accepted;
}

// Carries an adjoint state from the end of step `last` to the start of step `first`; returns how many
// end slopes were transposed alone. Slots: adjoint state, span, stage states; the adjoint state
// before; shares, where outputs lie inside steps.
int64_t cross_steps(
    void** kernels, const int64_t* ends, const int64_t* places, void** args,
    const Pass* pass, int64_t first, int64_t last, void** states, const void* y_next) {
  Slots slots{ends, places, args};
  auto cross = pass->state_is_double ? cross_step<double> : cross_step<float>;
  slots.put(1, pass->span);
  if (pass->shares) slots.put(3 + pass->num_states, pass->shares);
  int64_t num_ends = 0;
  for (int64_t n = last; n >= first; --n) {
    void** of_step = states + (n - first) * pass->num_states;
    num_ends += cross(kernels, slots, *pass, n, of_step, y_next);
    y_next = of_step[0];
  }
  return num_ends;
}

}  // extern "C"

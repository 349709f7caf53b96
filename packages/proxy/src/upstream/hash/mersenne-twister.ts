/** The 32-bit Mersenne Twister (mt19937): a sequence that is the same for the same seed everywhere. */
const size = 624;
const period = 397;

/** Numbers of 32 bits. */
export function createMersenneTwister(seed: number): () => number {
  const state = new Uint32Array(size);
  state[0] = seed;
  for (let index = 1; index < size; index += 1) {
    const before = state[index - 1] ?? 0;
    state[index] = Math.imul(1812433253, before ^ (before >>> 30)) + index;
  }
  let next = size;
  return () => {
    if (next === size) {
      twist(state);
      next = 0;
    }
    const value = temper(state[next] ?? 0);
    next += 1;
    return value;
  };
}

function twist(state: Uint32Array): void {
  for (let index = 0; index < size; index += 1) {
    const joined = ((state[index] ?? 0) & 0x80000000) | ((state[(index + 1) % size] ?? 0) & 0x7fffffff);
    const odd = (joined & 1) === 1 ? 0x9908b0df : 0;
    state[index] = (state[(index + period) % size] ?? 0) ^ (joined >>> 1) ^ odd;
  }
}

function temper(value: number): number {
  let mixed = value ^ (value >>> 11);
  mixed ^= (mixed << 7) & 0x9d2c5680;
  mixed ^= (mixed << 15) & 0xefc60000;
  return (mixed ^ (mixed >>> 18)) >>> 0;
}

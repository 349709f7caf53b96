/** Quantities of Kubernetes, such as "100m", "1Gi" or "2e3" (apimachinery, pkg/api/resource). */
const multipliers: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  "": 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

const form = /^([+-]?(?:\d{1,30}(?:\.\d{0,30})?|\.\d{1,30}))(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?\d{1,3}))?$/;

/** The amount; undefined where the text is no quantity. */
export function parseQuantity(text: string): number | undefined {
  const [, digits, suffix = "", exponent] = form.exec(text) ?? [];
  if (digits === undefined) return undefined;
  return Number(digits) * (exponent === undefined ? (multipliers[suffix] ?? Number.NaN) : 10 ** Number(exponent));
}

/** True for two ways to write one quantity: the API server rewrites "2000m" as "2". */
export function isSameQuantity(a: string, b: string): boolean {
  const amount = parseQuantity(a);
  return amount !== undefined && amount === parseQuantity(b);
}

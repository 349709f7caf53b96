/** Waits until it is so, by the real clock; rejects after 20 seconds. For what real connections bring about. */
export async function until(what: string, isSo: () => boolean): Promise<void> {
  for (let round = 0; round < 2_000; round += 1) {
    if (isSo()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`not within 20 s: ${what}`);
}

import { describe, expect, it } from "vitest";
import { createSlotMemo, memoByKey } from "./slot-memo.ts";

describe("createSlotMemo", () => {
  it("builds again only where an input is another one", () => {
    const memo = createSlotMemo<object>();
    const owner = {};
    const [a, b] = [{}, {}];
    const first = memo({ owner, slot: "x" }, [a, "text", 1], () => ({}));
    expect(memo({ owner, slot: "x" }, [a, "text", 1], () => ({}))).toBe(first);
    const second = memo({ owner, slot: "x" }, [b, "text", 1], () => ({}));
    expect(second).not.toBe(first);
    expect(memo({ owner, slot: "x" }, [a, "text", 1], () => ({}))).not.toBe(first);
  });

  it("keeps slots and owners apart", () => {
    const memo = createSlotMemo<string>();
    const owner = {};
    expect(memo({ owner, slot: "x" }, [], () => "x")).toBe("x");
    expect(memo({ owner, slot: "y" }, [], () => "y")).toBe("y");
    expect(memo({ owner: {}, slot: "x" }, [], () => "other")).toBe("other");
    expect(memo({ owner, slot: "x" }, [], () => "again")).toBe("x");
  });

  it("drops the oldest slot beyond the limit", () => {
    const memo = createSlotMemo<number>(2);
    const owner = {};
    for (const slot of ["a", "b", "c"]) memo({ owner, slot }, [], () => 1);
    expect(memo({ owner, slot: "a" }, [], () => 2)).toBe(2);
    expect(memo({ owner, slot: "c" }, [], () => 2)).toBe(1);
  });
});

it("keeps every key of an owner, also where there is nothing to keep", () => {
  let calls = 0;
  const find = memoByKey((_owner: object, key: string): string | undefined => {
    calls += 1;
    return key === "none" ? undefined : key;
  });
  const owner = {};
  for (const key of ["a", "none", "a", "none"]) expect(find(owner, key)).toBe(key === "none" ? undefined : key);
  expect(calls).toBe(2);
  expect(find({}, "a")).toBe("a");
  expect(calls).toBe(3);
});

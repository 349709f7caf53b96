import { expect, test } from "vitest";
import { findAddressFault } from "./check-key-address.ts";

test.each([
  "http://a",
  "HTTPS://a.example/keys",
  "https:///keys",
  "https:/keys",
  "https:anything goes%",
  "https://a:80/b:c@d",
  "https://a:",
  "https://[::1]:8443",
  "https://[fe80::1%25eth0]/",
  "https://user:pass@a",
  "https://a/b c",
  "https://a?%zz",
  "https://%c3%a9.example",
  "https://a#%41",
])("%s can be asked for keys", (address) => expect(findAddressFault(address)).toBeUndefined());

test.each([
  ["", "must start with http:// or https://"],
  [" https://a", "must start with http:// or https://"],
  ["//a", "must start with http:// or https://"],
  ["https://a\n", "has a control character"],
  ["https://a/%4", "has an escape that is not % and two digits"],
  ["https://a#%zz", "has an escape that is not % and two digits"],
  ["https://a:1:2", 'has the port "1:2"'],
  ["https://a:99999999999999999999", "has a port that is too large"],
  ["https://u p@a", "has a user that is not valid"],
  ["https://%41", 'has the host "%41"'],
  ["https://a{b}", 'has the host "a{b}"'],
  ["https://x[::1]", "has a bracket that does not start the host"],
  ["https://[::1", 'has no "]" after the address'],
  ["https://[1.2.3.4]", 'has "1.2.3.4" in brackets, which is not an IPv6 address'],
  ["https://[fe80::1%eth0]", 'has "fe80::1%eth0" in brackets, which is not an IPv6 address'],
])("%s cannot: it %s", (address, fault) => expect(findAddressFault(address)).toBe(fault));

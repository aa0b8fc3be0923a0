// Patches as apply_patch() takes them: { start, delete, insert }, offsets in code points.
"use strict";

function applyPatch(content, patch) {
  const points = Array.from(content);
  points.splice(patch.start, patch.delete, patch.insert);
  return points.join("");
}

// The smallest single patch that turns `before` into `after`.
function diff(before, after) {
  const a = Array.from(before);
  const b = Array.from(after);
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end++;
  return { start, delete: a.length - start - end, insert: b.slice(start, b.length - end).join("") };
}

// Where a position stands after a patch was applied.
function shift(position, patch) {
  const added = Array.from(patch.insert).length;
  if (position <= patch.start) return position;
  if (position >= patch.start + patch.delete) return position + added - patch.delete;
  return patch.start + added;
}

// The same change, for a text that `other` has changed already.
function rebase(patch, other) {
  const start = shift(patch.start, other);
  const end = shift(patch.start + patch.delete, other);
  return { start, delete: Math.max(0, end - start), insert: patch.insert };
}

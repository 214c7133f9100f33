// Makes what is shown like what was read, changing only what differs: focus, selection and scroll stay where they are.

function key(node) {
  return node.nodeType === Node.ELEMENT_NODE ? node.dataset.key || node.id : "";
}

function likes(a, b) {
  return a.nodeType === b.nodeType && a.nodeName === b.nodeName && key(a) === key(b);
}

export function morph(shown, read) {
  if (shown.isEqualNode(read)) return;
  if (shown.nodeType !== Node.ELEMENT_NODE) {
    if (shown.nodeValue !== read.nodeValue) shown.nodeValue = read.nodeValue;
    return;
  }
  for (const { name } of [...shown.attributes]) {
    if (!read.hasAttribute(name)) shown.removeAttribute(name);
  }
  for (const { name, value } of read.attributes) {
    if (shown.getAttribute(name) !== value) shown.setAttribute(name, value);
  }
  // What a person is typing into is theirs.
  if (shown.contains(document.activeElement) && shown.matches("input, select, textarea")) return;
  morphChildren(shown, read);
}

function morphChildren(shown, read) {
  const keyed = new Map();
  for (const child of shown.children) if (key(child)) keyed.set(key(child), child);
  let at = shown.firstChild;
  for (const wanted of [...read.childNodes]) {
    const known = key(wanted) && keyed.get(key(wanted));
    if (known && likes(known, wanted)) {
      keyed.delete(key(wanted));
      if (known === at) at = at.nextSibling;
      else shown.insertBefore(known, at);
      morph(known, wanted);
    } else if (at && !key(at) && !key(wanted) && likes(at, wanted)) {
      const next = at.nextSibling;
      morph(at, wanted);
      at = next;
    } else {
      shown.insertBefore(document.importNode(wanted, true), at);
    }
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

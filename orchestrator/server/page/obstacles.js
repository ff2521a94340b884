// Why a microphone cannot be had, in sentences that say what to do about it.

/** Why a page here cannot have a microphone whatever the visitor allows, as a sentence, or '' if it can. */
export function obstacle({ isSecureContext, mediaDevices, address, framed, allowed }) {
  if (!isSecureContext || !mediaDevices) {
    const at = (changed) => Object.assign(new URL(address), { search: '', hash: '' }, changed).href;
    return `Browsers give the microphone only to pages from https or from localhost. Open this page as ${at({ protocol: 'https:', port: '' })} ` +
      `(through a proxy with a certificate) or, on the server's own machine, as ${at({ hostname: 'localhost' })}.`;
  }
  if (allowed === false && framed) {
    return 'The page that embeds this one must allow the microphone: <iframe allow="microphone; autoplay">.';
  }
  if (allowed === false) return 'The server or a proxy before it forbids the microphone, by the header Permissions-Policy.';
  return '';
}

/** What `obstacle` is asked about, as it is here. */
export function circumstances() {
  const policy = document.permissionsPolicy ?? document.featurePolicy;
  return {
    isSecureContext: window.isSecureContext,
    mediaDevices: navigator.mediaDevices !== undefined,
    address: location.href,
    framed: window.top !== window,
    allowed: policy?.allowsFeature('microphone') ?? null,
  };
}

/** What a visitor can do about the browser's refusal. */
export function reason({ name, message }, framed) {
  if (name === 'NotAllowedError' || name === 'SecurityError') {
    return framed
      ? 'The microphone was refused. Allow it for this page, and have the page that embeds it allow it: <iframe allow="microphone; autoplay">.'
      : 'The microphone was refused. Allow it for this page in the browser’s address bar, then press Start again.';
  }
  if (name === 'NotFoundError') return 'No microphone was found. Connect one, then press Start again.';
  if (name === 'NotReadableError' || name === 'AbortError') {
    return 'The microphone is in use by another program. Close that, then press Start again.';
  }
  return `The microphone cannot be opened: ${message || name}`;
}

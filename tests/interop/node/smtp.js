// nodemailer's SMTP transport as programs use it; prints what became of each case, as JSON.
'use strict';

const fs = require('fs');
const nodemailer = require('nodemailer');

const given = JSON.parse(process.argv[2]);
const tls = { ca: fs.readFileSync(given.ca) };
const submission = { host: 'localhost', port: given.submission, requireTLS: true, tls };
const submissions = { host: 'localhost', port: given.submissions, secure: true, tls };
const password = { user: given.alice, pass: given.password };

async function outcome(work) {
  try {
    return { answer: await work() };
  } catch (error) {
    return { error: error.code, status: error.responseCode, command: error.command, text: error.message };
  }
}

// One message by one transport; `more` adds to the message.
function sent(options, subject, more) {
  return outcome(async () => {
    const transport = nodemailer.createTransport(options);
    const mail = { from: given.alice, to: given.bob, subject, text: 'Hallo\n.\nGrüße\n', ...more };
    const { accepted, rejected, response } = await transport.sendMail(mail);
    transport.close();
    return { accepted, rejected, response };
  });
}

// Twenty messages over two connections.
function pooled(subject) {
  return outcome(async () => {
    const transport = nodemailer.createTransport({ ...submissions, auth: password, pool: true, maxConnections: 2 });
    const mail = { from: given.alice, to: given.bob, subject, text: 'pooled' };
    const all = await Promise.all(Array.from({ length: 20 }, () => transport.sendMail(mail)));
    transport.close();
    return all.length;
  });
}

async function main() {
  const dsn = { id: 'from-nodemailer', return: 'headers', notify: ['success', 'failure'], recipient: given.bob };
  const token = { type: 'OAuth2', user: given.alice, accessToken: given.token };
  const cases = {
    plain: await sent({ host: 'localhost', port: given.mx, ignoreTLS: true }, 'nodemailer-plain'),
    starttls: await sent({ host: 'localhost', port: given.mx, tls }, 'nodemailer-starttls'),
    lmtp: await sent({ host: 'localhost', port: given.lmtp, lmtp: true, ignoreTLS: true }, 'nodemailer-lmtp'),
    'AUTH PLAIN': await sent({ ...submission, auth: password, authMethod: 'PLAIN' }, 'nodemailer-auth-plain'),
    'AUTH LOGIN': await sent({ ...submission, auth: password, authMethod: 'LOGIN' }, 'nodemailer-auth-login'),
    chosen: await sent({ ...submissions, auth: password }, 'nodemailer-chosen'),
    'app password': await sent({ ...submissions, auth: { user: given.alice, pass: given.app } }, 'nodemailer-app'),
    xoauth2: await sent({ ...submissions, auth: token }, 'nodemailer-xoauth2'),
    'wrong password': await sent({ ...submissions, auth: { user: given.alice, pass: 'wrong' } }, 'nodemailer-wrong'),
    'wrong token': await sent({ ...submissions, auth: { ...token, accessToken: 'wrong' } }, 'nodemailer-wrong'),
    'unknown CA': await sent({ ...submissions, tls: {}, auth: password }, 'nodemailer-wrong'),
    dsn: await sent({ ...submissions, auth: password }, 'nodemailer-dsn', { dsn }),
    smtputf8: await sent({ ...submissions, auth: password }, 'nodemailer Grüße', { to: given.buecher }),
    pooled: await pooled('nodemailer-pooled'),
    refused: await sent({ host: 'localhost', port: given.mx, tls }, 'nodemailer-refused', {
      to: [given.bob, 'nobody@example.test'],
    }),
  };
  console.log(JSON.stringify(cases));
}

main();

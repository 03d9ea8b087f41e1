-- A store as schema 0003 left it: three customers, one of whom wrote twice; a case handed on, a dead letter.
PRAGMA application_id = 1383296367;
BEGIN TRANSACTION;
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
INSERT INTO "_sqlite_migrations" VALUES(1,'response_monitor','0001_the_beginning','2026-11-23 17:37:04.193339+00:00');
INSERT INTO "_sqlite_migrations" VALUES(2,'response_monitor','0002_clocks','2026-11-23 17:37:04.199571+00:00');
INSERT INTO "_sqlite_migrations" VALUES(3,'response_monitor','0003_dead_letters','2026-11-23 17:37:04.202732+00:00');
CREATE TABLE accounts (
    scope INTEGER NOT NULL, account TEXT NOT NULL, handle TEXT, expires_at INTEGER,
    episode INTEGER NOT NULL DEFAULT 0, blind_since INTEGER, refused TEXT,
    PRIMARY KEY (scope, account)
) WITHOUT ROWID;
CREATE TABLE actions (pk INTEGER PRIMARY KEY, scope INTEGER NOT NULL, message TEXT NOT NULL,
    word TEXT NOT NULL, who TEXT NOT NULL, at INTEGER NOT NULL, until INTEGER, note TEXT);
INSERT INTO "actions" VALUES(1,1,'2','assign','@ana',1772626620000000,NULL,'ben');
CREATE TABLE aliases (scope INTEGER NOT NULL, alias TEXT NOT NULL, id TEXT NOT NULL,
    PRIMARY KEY (scope, alias)) WITHOUT ROWID;
CREATE TABLE blind_spans (pk INTEGER PRIMARY KEY, scope INTEGER NOT NULL, account TEXT NOT NULL,
    stream TEXT NOT NULL, since INTEGER NOT NULL, until INTEGER, reason TEXT NOT NULL);
CREATE TABLE budgets (scope INTEGER NOT NULL, account TEXT NOT NULL, name TEXT NOT NULL,
    maximum REAL NOT NULL, remaining REAL NOT NULL, resets_at INTEGER, at INTEGER NOT NULL,
    PRIMARY KEY (scope, account, name)) WITHOUT ROWID;
CREATE TABLE cases (
    pk INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    scope INTEGER NOT NULL,
    conversation TEXT NOT NULL,
    customer TEXT NOT NULL,
    opened_at INTEGER NOT NULL,
    status TEXT NOT NULL,
    priority TEXT NOT NULL,
    target TEXT,
    quiet INTEGER NOT NULL,
    waiting_since INTEGER,
    due_at INTEGER,
    look_again_at INTEGER,
    wants_look INTEGER NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT '',
    body TEXT NOT NULL
, complaint INTEGER NOT NULL DEFAULT 0, counted TEXT NOT NULL DEFAULT '');
INSERT INTO "cases" VALUES(1,'acme/x/1',1,'1','ana',1772625600000000,'answered','normal','public',0,NULL,1772626500000000,NULL,0,'answered, and that was said','{"id":"acme/x/1","place":["acme","x","1","ana"],"account":"acme","kind":"post","public":true,"customer_handle":"ana","followers":10,"opened_at":1772625600000000,"first_message_id":"1","last_message_id":"1","last_message_at":1772625600000000,"inbound_count":1,"status":"answered","complaint":true,"complaint_score":0.8022,"addressed":true,"needs_reply":true,"priority":"normal","topics":["negation","own matter","waiting"],"reasons":["says that it still waits or has no answer: \"still not\"","says what did not happen or is not so","speaks of its own order, account or thing","mentions @acme"],"historic":false,"quiet":false,"clocks":[["first_response",0,1772625600000000,"1",1772626140000000,"acmehelp","answered","r1","public",900.0,null,1772626500000000,[[0.5,1772626050000000],[0.8,1772626320000000]],null,0]],"asked_at":1772625600000000,"first_response":["r1",1772626140000000,"acmehelp",1772626200000000],"first_any_reply_at":1772626140000000,"closes_at":1772712540000000}',1,'');
INSERT INTO "cases" VALUES(2,'acme/x/2',1,'2','ben',1772625780000000,'waiting','normal','public',0,1772625780000000,1772626680000000,NULL,0,'breach reached','{"id":"acme/x/2","place":["acme","x","2","ben"],"account":"acme","kind":"post","public":true,"customer_handle":"ben","followers":10,"opened_at":1772625780000000,"first_message_id":"2","last_message_id":"2","last_message_at":1772625780000000,"inbound_count":1,"status":"waiting","complaint":true,"complaint_score":0.8022,"addressed":true,"needs_reply":true,"priority":"normal","topics":["negation","own matter","waiting"],"reasons":["says that it still waits or has no answer: \"still not\"","says what did not happen or is not so","speaks of its own order, account or thing","mentions @acme"],"historic":false,"quiet":false,"clocks":[["first_response",0,1772625780000000,"2",null,null,null,null,"public",900.0,null,1772626680000000,[[0.5,1772626230000000],[0.8,1772626500000000]],null,0]],"asked_at":1772625780000000,"waiting_message_id":"2","assignee":"ben","moved":["assign","2","@ana",1772626620000000,null,"ben"]}',1,'wait/1772625780000000');
INSERT INTO "cases" VALUES(3,'acme/x/3',1,'3','cleo',1772626800000000,'waiting','normal','public',0,1772626800000000,1772627700000000,NULL,0,'breach reached','{"id":"acme/x/3","place":["acme","x","3","cleo"],"account":"acme","kind":"post","public":true,"customer_handle":"cleo","followers":10,"opened_at":1772626800000000,"first_message_id":"3","last_message_id":"4","last_message_at":1772626920000000,"inbound_count":2,"status":"waiting","complaint":true,"complaint_score":0.8022,"addressed":true,"needs_reply":true,"priority":"normal","topics":["negation","own matter","waiting"],"reasons":["says that it still waits or has no answer: \"still not\"","says what did not happen or is not so","speaks of its own order, account or thing","mentions @acme"],"historic":false,"quiet":false,"clocks":[["first_response",0,1772626800000000,"3",null,null,null,null,"public",900.0,null,1772627700000000,[[0.5,1772627250000000],[0.8,1772627520000000]],null,0]],"asked_at":1772626800000000,"waiting_message_id":"3"}',1,'wait/1772626800000000');
CREATE TABLE counters (name TEXT NOT NULL, labels TEXT NOT NULL, value REAL NOT NULL,
    PRIMARY KEY (name, labels)) WITHOUT ROWID;
INSERT INTO "counters" VALUES('alert_delivery_seconds_bucket','[["channel","care"],["le","0.05"]]',9.0);
INSERT INTO "counters" VALUES('alert_delivery_seconds_bucket','[["channel","care"],["le","60"]]',1.0);
INSERT INTO "counters" VALUES('alert_delivery_seconds_bucket','[["channel","mail"],["le","0.05"]]',6.0);
INSERT INTO "counters" VALUES('alert_delivery_seconds_sum','[["channel","care"]]',60.0);
INSERT INTO "counters" VALUES('alert_delivery_seconds_sum','[["channel","mail"]]',0.0);
INSERT INTO "counters" VALUES('alerts_created','[["channel","care"],["stage","breach"]]',2.0);
INSERT INTO "counters" VALUES('alerts_created','[["channel","care"],["stage","cleared"]]',1.0);
INSERT INTO "counters" VALUES('alerts_created','[["channel","care"],["stage","moved"]]',1.0);
INSERT INTO "counters" VALUES('alerts_created','[["channel","care"],["stage","trouble"]]',1.0);
INSERT INTO "counters" VALUES('alerts_created','[["channel","care"],["stage","warning"]]',5.0);
INSERT INTO "counters" VALUES('alerts_created','[["channel","mail"],["stage","breach"]]',2.0);
INSERT INTO "counters" VALUES('alerts_created','[["channel","mail"],["stage","warning"]]',5.0);
INSERT INTO "counters" VALUES('alerts_ended','[["channel","care"],["outcome","delivered"]]',10.0);
INSERT INTO "counters" VALUES('alerts_ended','[["channel","mail"],["outcome","dead"]]',1.0);
INSERT INTO "counters" VALUES('alerts_ended','[["channel","mail"],["outcome","delivered"]]',6.0);
INSERT INTO "counters" VALUES('answers_seen_late_seconds','[["brand","acme"],["connector","x"],["target","public"]]',60.0);
INSERT INTO "counters" VALUES('breaches','[["brand","acme"],["clock","first_response"],["connector","x"],["priority","normal"],["target","public"]]',2.0);
INSERT INTO "counters" VALUES('cases_opened','[["account","acme"],["brand","acme"],["connector","x"]]',3.0);
INSERT INTO "counters" VALUES('first_response_seconds_bucket','[["brand","acme"],["connector","x"],["le","900"],["target","public"]]',1.0);
INSERT INTO "counters" VALUES('first_response_seconds_sum','[["brand","acme"],["connector","x"],["target","public"]]',540.0);
INSERT INTO "counters" VALUES('messages','[["account","acme"],["brand","acme"],["connector","x"]]',5.0);
INSERT INTO "counters" VALUES('operator_actions','[["action","assign"],["brand","acme"]]',1.0);
CREATE TABLE deliveries (pk INTEGER PRIMARY KEY, outbox INTEGER NOT NULL, attempt INTEGER NOT NULL,
    at INTEGER NOT NULL, outcome TEXT NOT NULL, detail TEXT NOT NULL);
INSERT INTO "deliveries" VALUES(1,1,1,1772626080000000,'delivered','');
INSERT INTO "deliveries" VALUES(2,2,1,1772626080000000,'dead','550 no such mailbox');
INSERT INTO "deliveries" VALUES(3,3,1,1772626140000000,'delivered','');
INSERT INTO "deliveries" VALUES(4,4,1,1772626200000000,'delivered','');
INSERT INTO "deliveries" VALUES(5,5,1,1772626260000000,'delivered','');
INSERT INTO "deliveries" VALUES(6,6,1,1772626260000000,'delivered','');
INSERT INTO "deliveries" VALUES(7,7,1,1772626500000000,'delivered','');
INSERT INTO "deliveries" VALUES(8,8,1,1772626500000000,'delivered','');
INSERT INTO "deliveries" VALUES(9,9,1,1772626620000000,'delivered','');
INSERT INTO "deliveries" VALUES(10,10,1,1772626680000000,'delivered','');
INSERT INTO "deliveries" VALUES(11,11,1,1772626680000000,'delivered','');
INSERT INTO "deliveries" VALUES(12,12,1,1772627280000000,'delivered','');
INSERT INTO "deliveries" VALUES(13,13,1,1772627280000000,'delivered','');
INSERT INTO "deliveries" VALUES(14,14,1,1772627520000000,'delivered','');
INSERT INTO "deliveries" VALUES(15,15,1,1772627520000000,'delivered','');
INSERT INTO "deliveries" VALUES(16,16,1,1772627700000000,'delivered','');
INSERT INTO "deliveries" VALUES(17,17,1,1772627700000000,'delivered','');
CREATE TABLE links (          
    scope INTEGER NOT NULL, conversation TEXT NOT NULL, customer TEXT NOT NULL, since INTEGER NOT NULL,
    case_id TEXT NOT NULL,
    PRIMARY KEY (scope, conversation, customer, since)
) WITHOUT ROWID;
CREATE TABLE marks (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE messages (
    pk INTEGER PRIMARY KEY,
    scope INTEGER NOT NULL REFERENCES scopes(id),
    id TEXT NOT NULL,
    account TEXT NOT NULL,
    kind TEXT NOT NULL,
    conversation TEXT NOT NULL,
    customer TEXT,               
    rung TEXT NOT NULL,          
    parent TEXT,
    addressed_to TEXT NOT NULL,  
    handles TEXT NOT NULL,       
    author_id TEXT NOT NULL,
    author_handle TEXT,
    author_name TEXT,
    followers INTEGER,
    outbound INTEGER NOT NULL,
    automated TEXT,              
    created_at INTEGER NOT NULL,
    seen_at INTEGER NOT NULL,
    edited_at INTEGER,
    deleted_at INTEGER,
    checked_at INTEGER,          
    quiet_before INTEGER,        
    public INTEGER NOT NULL,
    addressed INTEGER NOT NULL,
    language TEXT,
    url TEXT,
    rating REAL,
    reach INTEGER,
    client TEXT,
    text TEXT NOT NULL,
    verdict TEXT,
    first_verdict TEXT,          
    streams TEXT NOT NULL,       
    UNIQUE (scope, id)
);
INSERT INTO "messages" VALUES(1,1,'1','acme','post','1','ana','author',NULL,'[]','["acme"]','ana','ana',NULL,10,0,NULL,1772625600000000,1772625660000000,NULL,NULL,NULL,NULL,1,1,NULL,NULL,NULL,NULL,NULL,'@acme my parcel is still not here!','[0.8022,true,true,true,"normal",["waiting","negation","own matter"],null,["says that it still waits or has no answer: \"still not\"","says what did not happen or is not so","speaks of its own order, account or thing","mentions @acme"],"judge-1/en-1-5ca4779a9b79/policy-75dcc87499bc"]',NULL,'acme/mentions');
INSERT INTO "messages" VALUES(2,1,'2','acme','post','2','ben','author',NULL,'[]','["acme"]','ben','ben',NULL,10,0,NULL,1772625780000000,1772626200000000,NULL,NULL,NULL,NULL,1,1,NULL,NULL,NULL,NULL,NULL,'@acme my parcel is still not here!','[0.8022,true,true,true,"normal",["waiting","negation","own matter"],null,["says that it still waits or has no answer: \"still not\"","says what did not happen or is not so","speaks of its own order, account or thing","mentions @acme"],"judge-1/en-1-5ca4779a9b79/policy-75dcc87499bc"]',NULL,'acme/mentions');
INSERT INTO "messages" VALUES(3,1,'r1','acme','post','1','ana','parent','1','[]','[]','acmehelp','acmehelp',NULL,NULL,1,NULL,1772626140000000,1772626200000000,NULL,NULL,NULL,NULL,1,0,NULL,NULL,NULL,NULL,NULL,'sorry to hear that, we look into it',NULL,NULL,'acme/mentions');
INSERT INTO "messages" VALUES(4,1,'3','acme','post','3','cleo','author',NULL,'[]','["acme"]','cleo','cleo',NULL,10,0,NULL,1772626800000000,1772627100000000,NULL,NULL,NULL,NULL,1,1,NULL,NULL,NULL,NULL,NULL,'@acme my parcel is still not here!','[0.8022,true,true,true,"normal",["waiting","negation","own matter"],null,["says that it still waits or has no answer: \"still not\"","says what did not happen or is not so","speaks of its own order, account or thing","mentions @acme"],"judge-1/en-1-5ca4779a9b79/policy-75dcc87499bc"]',NULL,'acme/mentions');
INSERT INTO "messages" VALUES(5,1,'4','acme','post','3','cleo','author','3','[]','["acme"]','cleo','cleo',NULL,10,0,NULL,1772626920000000,1772627100000000,NULL,NULL,NULL,NULL,1,1,NULL,NULL,NULL,NULL,NULL,'@acme my parcel is still not here!','[0.8022,true,true,true,"normal",["waiting","negation","own matter"],null,["says that it still waits or has no answer: \"still not\"","says what did not happen or is not so","speaks of its own order, account or thing","mentions @acme"],"judge-1/en-1-5ca4779a9b79/policy-75dcc87499bc"]',NULL,'acme/mentions');
CREATE TABLE mutes (pk INTEGER PRIMARY KEY, brand TEXT NOT NULL, what TEXT NOT NULL, value TEXT NOT NULL,
    until INTEGER, who TEXT NOT NULL, at INTEGER NOT NULL);
CREATE TABLE outbox (
    pk INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    subject TEXT NOT NULL,       
    scope INTEGER, conversation TEXT, customer TEXT, message TEXT, message_at INTEGER,
    stage TEXT NOT NULL, cycle INTEGER NOT NULL, repeat INTEGER NOT NULL, moment INTEGER NOT NULL,
    channel TEXT NOT NULL, recipient TEXT NOT NULL,
    state TEXT NOT NULL,         
    body TEXT NOT NULL,          
    created_at INTEGER NOT NULL, due_at INTEGER NOT NULL, lease_until INTEGER,
    attempts INTEGER NOT NULL DEFAULT 0,
    maybe_told INTEGER NOT NULL DEFAULT 0, 
    ended_at INTEGER, outcome TEXT, receipt TEXT
, clock TEXT NOT NULL DEFAULT 'first_response', round INTEGER NOT NULL DEFAULT 0, step TEXT, wait_at INTEGER);
INSERT INTO "outbox" VALUES(1,'acme/x/1/first_response/0/warning/0/care/6953012a0df3','acme/x/1',1,'1','ana','1',1772625600000000,'warning',0,0,1772626050000000,'care','#care','delivered','{}',1772626080000000,1772626080000000,NULL,1,1,1772626080000000,'delivered','{"at":"2026-03-04T12:08:00+00:00","remote":{"ts":"1"},"put_off":"","left_out":""}','first_response',0,NULL,1772625600000000);
INSERT INTO "outbox" VALUES(2,'acme/x/1/first_response/0/warning/0/mail/9968fe406b21','acme/x/1',1,'1','ana','1',1772625600000000,'warning',0,0,1772626050000000,'mail','care@acme.example','dead','{}',1772626080000000,1772626080000000,NULL,1,0,1772626080000000,'550 no such mailbox',NULL,'first_response',0,NULL,1772625600000000);
INSERT INTO "outbox" VALUES(3,'channel_mail_dead_2026-03-04/first_response/0/trouble/0/care/5dfa16c4a8a7','channel mail dead 2026-03-04',NULL,NULL,NULL,NULL,NULL,'trouble',0,0,1772626080000000,'care','#care','delivered','{"title":"Alerts over mail are not accepted","detail":"care@acme.example: 550 no such mailbox","what_to_do":"Mend the channel, then `response-monitor check --send`. Until then look at the queue.","since":"2026-03-04T12:08:00+00:00"}',1772626080000000,1772626080000000,NULL,1,1,1772626140000000,'delivered','{"at":"2026-03-04T12:09:00+00:00","remote":{"ts":"2"},"put_off":"","left_out":""}','first_response',0,NULL,NULL);
INSERT INTO "outbox" VALUES(4,'acme/x/1/first_response/0/cleared/0/care/967855247764','acme/x/1',1,'1','ana','1',1772625600000000,'cleared',0,0,1772626140000000,'care','#care','delivered','{}',1772626200000000,1772626200000000,NULL,1,1,1772626200000000,'delivered','{"at":"2026-03-04T12:10:00+00:00","remote":{"ts":"3"},"put_off":"","left_out":""}','first_response',0,NULL,1772625600000000);
INSERT INTO "outbox" VALUES(5,'acme/x/2/first_response/0/warning/0/care/0ddd083c73c9','acme/x/2',1,'2','ben','2',1772625780000000,'warning',0,0,1772626230000000,'care','#care','delivered','{}',1772626260000000,1772626260000000,NULL,1,1,1772626260000000,'delivered','{"at":"2026-03-04T12:11:00+00:00","remote":{"ts":"4"},"put_off":"","left_out":""}','first_response',0,NULL,1772625780000000);
INSERT INTO "outbox" VALUES(6,'acme/x/2/first_response/0/warning/0/mail/402db422f43e','acme/x/2',1,'2','ben','2',1772625780000000,'warning',0,0,1772626230000000,'mail','care@acme.example','delivered','{}',1772626260000000,1772626260000000,NULL,1,1,1772626260000000,'delivered','{"at":"2026-03-04T12:11:00+00:00","remote":{"ts":"1"},"put_off":"","left_out":""}','first_response',0,NULL,1772625780000000);
INSERT INTO "outbox" VALUES(7,'acme/x/2/first_response/0/warning/1/care/85f2d354023a','acme/x/2',1,'2','ben','2',1772625780000000,'warning',0,1,1772626500000000,'care','#care','delivered','{}',1772626500000000,1772626500000000,NULL,1,1,1772626500000000,'delivered','{"at":"2026-03-04T12:15:00+00:00","remote":{"ts":"5"},"put_off":"","left_out":""}','first_response',0,NULL,1772625780000000);
INSERT INTO "outbox" VALUES(8,'acme/x/2/first_response/0/warning/1/mail/223b15c5b48d','acme/x/2',1,'2','ben','2',1772625780000000,'warning',0,1,1772626500000000,'mail','care@acme.example','delivered','{}',1772626500000000,1772626500000000,NULL,1,1,1772626500000000,'delivered','{"at":"2026-03-04T12:15:00+00:00","remote":{"ts":"2"},"put_off":"","left_out":""}','first_response',0,NULL,1772625780000000);
INSERT INTO "outbox" VALUES(9,'acme/x/2/first_response/0/moved/0/care/dcd7d0d5d2ba','acme/x/2',1,'2','ben','2',1772625780000000,'moved',0,0,1772626620000000,'care','#care','delivered','{}',1772626620000000,1772626620000000,NULL,1,1,1772626620000000,'delivered','{"at":"2026-03-04T12:17:00+00:00","remote":{"ts":"6"},"put_off":"","left_out":""}','first_response',0,NULL,1772625780000000);
INSERT INTO "outbox" VALUES(10,'acme/x/2/first_response/0/breach/0/care/1011d9f063cc','acme/x/2',1,'2','ben','2',1772625780000000,'breach',0,0,1772626680000000,'care','#care','delivered','{}',1772626680000000,1772626680000000,NULL,1,1,1772626680000000,'delivered','{"at":"2026-03-04T12:18:00+00:00","remote":{"ts":"7"},"put_off":"","left_out":""}','first_response',0,NULL,1772625780000000);
INSERT INTO "outbox" VALUES(11,'acme/x/2/first_response/0/breach/0/mail/2d0d4adb5429','acme/x/2',1,'2','ben','2',1772625780000000,'breach',0,0,1772626680000000,'mail','care@acme.example','delivered','{}',1772626680000000,1772626680000000,NULL,1,1,1772626680000000,'delivered','{"at":"2026-03-04T12:18:00+00:00","remote":{"ts":"3"},"put_off":"","left_out":""}','first_response',0,NULL,1772625780000000);
INSERT INTO "outbox" VALUES(12,'acme/x/3/first_response/0/warning/0/care/d838c40ee9c5','acme/x/3',1,'3','cleo','3',1772626800000000,'warning',0,0,1772627250000000,'care','#care','delivered','{}',1772627280000000,1772627280000000,NULL,1,1,1772627280000000,'delivered','{"at":"2026-03-04T12:28:00+00:00","remote":{"ts":"8"},"put_off":"","left_out":""}','first_response',0,NULL,1772626800000000);
INSERT INTO "outbox" VALUES(13,'acme/x/3/first_response/0/warning/0/mail/ac835ec784b7','acme/x/3',1,'3','cleo','3',1772626800000000,'warning',0,0,1772627250000000,'mail','care@acme.example','delivered','{}',1772627280000000,1772627280000000,NULL,1,1,1772627280000000,'delivered','{"at":"2026-03-04T12:28:00+00:00","remote":{"ts":"4"},"put_off":"","left_out":""}','first_response',0,NULL,1772626800000000);
INSERT INTO "outbox" VALUES(14,'acme/x/3/first_response/0/warning/1/care/820be4f668cc','acme/x/3',1,'3','cleo','3',1772626800000000,'warning',0,1,1772627520000000,'care','#care','delivered','{}',1772627520000000,1772627520000000,NULL,1,1,1772627520000000,'delivered','{"at":"2026-03-04T12:32:00+00:00","remote":{"ts":"9"},"put_off":"","left_out":""}','first_response',0,NULL,1772626800000000);
INSERT INTO "outbox" VALUES(15,'acme/x/3/first_response/0/warning/1/mail/c0635e0de122','acme/x/3',1,'3','cleo','3',1772626800000000,'warning',0,1,1772627520000000,'mail','care@acme.example','delivered','{}',1772627520000000,1772627520000000,NULL,1,1,1772627520000000,'delivered','{"at":"2026-03-04T12:32:00+00:00","remote":{"ts":"5"},"put_off":"","left_out":""}','first_response',0,NULL,1772626800000000);
INSERT INTO "outbox" VALUES(16,'acme/x/3/first_response/0/breach/0/care/f2c953fb8bd9','acme/x/3',1,'3','cleo','3',1772626800000000,'breach',0,0,1772627700000000,'care','#care','delivered','{}',1772627700000000,1772627700000000,NULL,1,1,1772627700000000,'delivered','{"at":"2026-03-04T12:35:00+00:00","remote":{"ts":"10"},"put_off":"","left_out":""}','first_response',0,NULL,1772626800000000);
INSERT INTO "outbox" VALUES(17,'acme/x/3/first_response/0/breach/0/mail/ab4c55168699','acme/x/3',1,'3','cleo','3',1772626800000000,'breach',0,0,1772627700000000,'mail','care@acme.example','delivered','{}',1772627700000000,1772627700000000,NULL,1,1,1772627700000000,'delivered','{"at":"2026-03-04T12:35:00+00:00","remote":{"ts":"6"},"put_off":"","left_out":""}','first_response',0,NULL,1772626800000000);
CREATE TABLE policies (pk INTEGER PRIMARY KEY, holds_from INTEGER NOT NULL, body TEXT NOT NULL);
CREATE TABLE rejected (pk INTEGER PRIMARY KEY, scope INTEGER NOT NULL, account TEXT NOT NULL,
    stream TEXT NOT NULL, at INTEGER NOT NULL, id TEXT, reason TEXT NOT NULL, excerpt TEXT NOT NULL);
CREATE TABLE revisions (
    message INTEGER NOT NULL REFERENCES messages(pk),
    edited_at INTEGER NOT NULL,  
    text TEXT NOT NULL,
    verdict TEXT,
    recorded_at INTEGER NOT NULL,
    PRIMARY KEY (message, edited_at)
) WITHOUT ROWID;
CREATE TABLE scopes (id INTEGER PRIMARY KEY, brand TEXT NOT NULL, connector TEXT NOT NULL,
    UNIQUE (brand, connector));
INSERT INTO "scopes" VALUES(1,'acme','x');
CREATE TABLE streams (
    scope INTEGER NOT NULL, account TEXT NOT NULL, name TEXT NOT NULL,
    direction TEXT NOT NULL, private INTEGER NOT NULL,
    first_mark INTEGER NOT NULL,  
    cursor TEXT,
    polled_at INTEGER, succeeded_at INTEGER, complete_through INTEGER,
    failures INTEGER NOT NULL DEFAULT 0, failing_since INTEGER, error TEXT, refused TEXT, retry_at INTEGER,
    retired INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (scope, account, name)
) WITHOUT ROWID;
CREATE TABLE surges (         
    pk INTEGER PRIMARY KEY,
    kind TEXT NOT NULL, brand TEXT NOT NULL,
    since INTEGER NOT NULL,
    last_at INTEGER NOT NULL, 
    over_at INTEGER,
    said INTEGER NOT NULL DEFAULT 0, 
    body TEXT NOT NULL DEFAULT '{}'
);
CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");
CREATE INDEX messages_conversation ON messages (scope, conversation, customer, created_at);
CREATE INDEX messages_replies ON messages (scope, parent) WHERE parent IS NOT NULL;
CREATE INDEX actions_message ON actions (scope, message);
CREATE INDEX cases_conversation ON cases (scope, conversation, customer, opened_at);
CREATE INDEX cases_look_again ON cases (look_again_at) WHERE look_again_at IS NOT NULL;
CREATE INDEX cases_wanting ON cases (scope) WHERE wants_look = 1;
CREATE INDEX cases_waiting ON cases (scope, priority, target, waiting_since, due_at)
    WHERE status = 'waiting' AND quiet = 0 AND due_at IS NOT NULL;
CREATE INDEX cases_due ON cases (due_at)
    WHERE status = 'waiting' AND quiet = 0 AND due_at IS NOT NULL;
CREATE INDEX cases_opened ON cases (opened_at);
CREATE INDEX outbox_due ON outbox (channel, due_at) WHERE state IN ('pending', 'leased');
CREATE INDEX outbox_case ON outbox (scope, conversation, customer) WHERE conversation IS NOT NULL;
CREATE INDEX outbox_subject ON outbox (subject, channel);
CREATE INDEX deliveries_outbox ON deliveries (outbox);
CREATE INDEX cases_complaints ON cases (scope, opened_at) WHERE complaint = 1;
CREATE INDEX links_case ON links (case_id);
CREATE INDEX links_customer ON links (scope, customer);
CREATE INDEX messages_unplaced ON messages (scope, conversation, created_at)
    WHERE rung IN ('to', 'mention', 'inferred', 'nobody');
CREATE INDEX messages_private ON messages (scope, customer) WHERE public = 0;
CREATE INDEX messages_customer ON messages (scope, customer) WHERE customer IS NOT NULL;
CREATE INDEX outbox_claims ON outbox (created_at) WHERE stage IN ('warning', 'breach', 'escalated');
CREATE INDEX surges_running ON surges (brand, kind) WHERE over_at IS NULL;
CREATE INDEX outbox_dead ON outbox (channel, pk) WHERE state = 'dead';
COMMIT;

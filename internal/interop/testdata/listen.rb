# ruby listen.rb HOST PORT: what node/listen-redis.mjs does, with Debian's redis gem,
# which subscribes on the fly from the thread that reads.
require "redis"
require "json"

$stdout.sync = true
client = Redis.new(host: ARGV[0], port: ARGV[1].to_i)
subscribed = 0
client.subscribe("/first", "_action_cable_internal") do |on|
  on.subscribe do |channel, _|
    client.psubscribe("/p/*") if (subscribed += 1) == 2
    puts "subscribed" if channel == "/later"
  end
  on.psubscribe { puts "ready" }
  on.unsubscribe { |channel, _| puts "unsubscribed" if channel == "/later" }
  on.message do |channel, message|
    puts ["message", channel, message].to_json
    case message
    when "more" then client.subscribe("/later")
    when "less" then client.unsubscribe("/later")
    when "end"
      client.punsubscribe
      client.unsubscribe # last: it is what the loop waits for
    end
  end
  on.pmessage { |pattern, channel, message| puts ["pmessage", pattern, channel, message].to_json }
end
client.quit

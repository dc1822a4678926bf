import { Module, type DynamicModule } from '@nestjs/common';
import { APP_FILTER, DiscoveryModule } from '@nestjs/core';
import { LoggerModule } from 'nestjs-pino';
import { AdminToken } from './admin/admin-token.js';
import { AdminSubscriptionsController } from './admin/subscriptions.controller.js';
import { ExplainController } from './admin/explain.controller.js';
import { EventsController } from './admin/events.controller.js';
import { AdminJobsController } from './admin/jobs.controller.js';
import { LiveUpdates } from './admin/live-updates.js';
import { NodesController } from './admin/nodes.controller.js';
import { ApiDocsController } from './api-docs/api-docs.controller.js';
import { StatsController } from './admin/stats.controller.js';
import { Settings } from './config/settings.js';
import { DashboardController } from './dashboard/dashboard.controller.js';
import { PageFiles } from './dashboard/page-files.js';
import { AttemptStore } from './dispatch/attempt-store.js';
import { Discovery } from './discovery/discovery.js';
import { Commits } from './persistence/commits.js';
import { Dispatcher } from './dispatch/dispatcher.js';
import { Scheduler } from './dispatch/scheduler.js';
import { InfernetController } from './health/infernet.controller.js';
import { OperatorToken } from './http/operator-token.js';
import { ProbesController } from './health/probes.controller.js';
import { Readiness } from './health/readiness.js';
import { ErrorFilter } from './http/error-filter.js';
import { AcceptancesRepository } from './jobs/acceptances.repository.js';
import { AttemptsRepository } from './jobs/attempts.repository.js';
import { JobEvents } from './jobs/job-events.js';
import { JobsController } from './jobs/jobs.controller.js';
import { JobsRepository } from './jobs/jobs.repository.js';
import { OperationsRepository } from './jobs/operations.repository.js';
import { OperationsService } from './jobs/operations.service.js';
import { RecordedStatusesRepository } from './jobs/recorded-statuses.repository.js';
import { StatusController } from './jobs/status.controller.js';
import { Retries } from './jobs/retries.js';
import { SweepRepository } from './jobs/sweep.repository.js';
import { JobsService } from './jobs/jobs.service.js';
import { ResultsStore } from './jobs/results-store.js';
import { Lanes } from './lanes/lanes.js';
import { LeaseKeeper } from './lanes/lease-keeper.js';
import { LeasesRepository } from './lanes/leases.repository.js';
import { ReplicaId } from './lanes/replica-id.js';
import { Replicas } from './lanes/replicas.js';
import { Rescues } from './lanes/rescues.js';
import { RouterController } from './router/router.controller.js';
import { RouterService } from './router/router.service.js';
import { ResultSinks } from './lanes/result-sink.js';
import { Fleet } from './nodes/fleet.js';
import { FleetResources } from './nodes/fleet-resources.js';
import { logOptions } from './logging/log-options.js';
import type { SecretMask } from './logging/secret-mask.js';
import { Metrics } from './metrics/metrics.js';
import { PrometheusMetrics } from './metrics/prometheus-metrics.js';
import { FleetGauges } from './monitoring/fleet-gauges.js';
import { JobGauges } from './monitoring/job-gauges.js';
import { MetricsController } from './monitoring/metrics.controller.js';
import { UnfinishedJobsRepository } from './monitoring/unfinished-jobs.repository.js';
import { NodeClient } from './nodes/node-client.js';
import { NodeSenders } from './nodes/node-senders.js';
import { NodesRepository } from './nodes/nodes.repository.js';
import { NodesService } from './nodes/nodes.service.js';
import { ResourceSnapshots } from './nodes/resource-snapshots.js';
import { ResourcesRepository } from './nodes/resources.repository.js';
import { StreamClient } from './nodes/stream-client.js';
import { Broadcast } from './persistence/broadcast.js';
import { Database } from './persistence/database.js';
import { AdmissionsRepository } from './subscriptions/admissions.repository.js';
import { OffersRepository } from './subscriptions/offers.repository.js';
import { Offering } from './subscriptions/offering.js';
import { RecordsRepository } from './subscriptions/records.repository.js';
import { SubscriptionOperations } from './subscriptions/subscription-operations.js';
import { RetryMessages } from './subscriptions/retry-messages.js';
import { SubscriptionNodes } from './subscriptions/subscription-nodes.js';
import { SubscriptionsService } from './subscriptions/subscriptions.service.js';
import { DatabaseCheck } from './persistence/database-check.js';
import { QueueCheck } from './queue/queue-check.js';
import { QueueModule } from './queue/queue.module.js';
import { DutiesProcessor } from './maintenance/duties.processor.js';
import { RetriesProcessor } from './maintenance/retries.processor.js';
import { Sweep } from './maintenance/sweep.js';
import { Retention } from './maintenance/retention.js';
import { StreamsController } from './streams/streams.controller.js';
import { Permits } from './streams/permits.js';
import { StreamPlaces } from './streams/stream-places.js';
import { StreamsService } from './streams/streams.service.js';
import { Sampler } from './stats/sampler.js';
import { StatsRepository } from './stats/stats.repository.js';

/** What has to be known before the application can be built. */
export interface Foundation {
  readonly settings: Settings;
  readonly databaseUrl: string;
  readonly adminToken: AdminToken;
  readonly metrics: PrometheusMetrics;
  /** Secrets that must not be logged. */
  readonly secrets: SecretMask;
}

/** The one composition root. The parts are plain classes; this says which of them make a gateway. */
@Module({})
export class AppModule {
  static forRoot({ settings, databaseUrl, adminToken, metrics, secrets }: Foundation): DynamicModule {
    return {
      module: AppModule,
      imports: [
        DiscoveryModule,
        LoggerModule.forRoot(logOptions(settings, secrets)),
        QueueModule.forRoot({ databaseUrl, redisUrl: settings.redisUrl }),
      ],
      controllers: [
        InfernetController,
        ProbesController,
        JobsController,
        StreamsController,
        StatusController,
        RouterController,
        NodesController,
        AdminJobsController,
        AdminSubscriptionsController,
        ExplainController,
        ApiDocsController,
        StatsController,
        EventsController,
        DashboardController,
        MetricsController,
      ],
      providers: [
        { provide: APP_FILTER, useClass: ErrorFilter },
        { provide: Settings, useValue: settings },
        { provide: AdminToken, useValue: adminToken },
        { provide: OperatorToken, useExisting: AdminToken },
        {
          provide: Database,
          useFactory: () => new Database({ url: databaseUrl, poolSize: settings.databasePoolSize }),
        },
        {
          provide: Broadcast,
          inject: [Database, ReplicaId],
          useFactory: (database: Database, replica: ReplicaId) =>
            new Broadcast(database, databaseUrl, replica.value),
        },
        DatabaseCheck,
        QueueCheck,
        Readiness,
        { provide: PrometheusMetrics, useValue: metrics },
        { provide: Metrics, useExisting: PrometheusMetrics },
        { provide: NodeClient, useFactory: () => new NodeClient(metrics) },
        { provide: StreamClient, useFactory: () => new StreamClient(metrics) },
        NodeSenders,
        Fleet,
        NodesRepository,
        NodesService,
        ResourcesRepository,
        ResourceSnapshots,
        FleetResources,
        JobEvents,
        AcceptancesRepository,
        ResultsStore,
        AttemptsRepository,
        { provide: AttemptStore, useExisting: AttemptsRepository },
        Commits,
        Scheduler,
        Dispatcher,
        SubscriptionNodes,
        AdmissionsRepository,
        OffersRepository,
        RetryMessages,
        Offering,
        SubscriptionsService,
        RecordsRepository,
        SubscriptionOperations,
        JobsRepository,
        RecordedStatusesRepository,
        JobsService,
        RouterService,
        Discovery,
        Retries,
        SweepRepository,
        OperationsRepository,
        OperationsService,
        ReplicaId,
        LeasesRepository,
        LeaseKeeper,
        ResultSinks,
        Lanes,
        Rescues,
        Replicas,
        Permits,
        StreamPlaces,
        StreamsService,
        Sweep,
        RetriesProcessor,
        Retention,
        DutiesProcessor,
        StatsRepository,
        Sampler,
        LiveUpdates,
        { provide: PageFiles, useFactory: () => new PageFiles() },
        UnfinishedJobsRepository,
        FleetGauges,
        JobGauges,
      ],
    };
  }
}
